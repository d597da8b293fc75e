/**
 * One thing that can be changed from the page: shows the command line that would do it before it is done, does it once
 * however often it is pressed, and shows Weft's answer or its refusal in place.
 */
import type { ActionAnswer } from '../../../service/observe/api.ts';
import { h, setAttribute } from '../dom.ts';
import { failureOf } from './failure.ts';
import { CommandLine, Message } from './parts.ts';

export class ActionPanel {
  readonly element: HTMLElement;
  readonly #before = new CommandLine('same as');
  readonly #answer = new Message('status');
  readonly #done = new CommandLine('done as');
  readonly #failure = new Message('alert');
  #running = false;
  #shown: string | undefined;

  constructor() {
    this.element = h('div', { class: 'action' });
    this.element.append(
      this.#before.element,
      this.#answer.element,
      this.#done.element,
      this.#failure.element,
    );
  }

  get running(): boolean {
    return this.#running;
  }

  /** What would be done; `undefined`: the form cannot be done as it is. */
  preview(command: string | undefined): void {
    this.#shown = command;
    this.#before.show(command);
  }

  /** Forgets the last answer, because the form asks for something else now. */
  clear(): void {
    this.#answer.show(undefined);
    this.#done.show(undefined);
    this.#failure.show(undefined);
  }

  /** A refusal of the page itself: what was typed cannot be asked for. */
  refuse(why: string): void {
    this.clear();
    this.#failure.show(why);
  }

  /** Does nothing while it runs already. @returns whether it was done */
  async run(action: () => Promise<ActionAnswer>): Promise<boolean> {
    if (this.#running) return false;
    this.#running = true;
    setAttribute(this.element, 'aria-busy', true);
    this.clear();
    try {
      const { text, command } = await action();
      this.#answer.show(text);
      // Said once more only where it is not what was announced.
      this.#done.show(command === this.#shown ? undefined : command);
      return true;
    } catch (error) {
      this.#failure.show(failureOf(error));
      return false;
    } finally {
      this.#running = false;
      setAttribute(this.element, 'aria-busy', false);
    }
  }
}

/** How long a switch shows what was asked for while the overviews do not show it yet. */
const WANTED_FOR_MS = 4000;

/** A switch (role `switch`) that follows what Weft says, and shows at once what it was asked for. */
export class Switch {
  readonly element: HTMLLabelElement;
  readonly input: HTMLInputElement;
  #on = false;
  #wanted: { readonly on: boolean; readonly untilMs: number } | undefined;

  /** @param name what screen readers say, which do not see the row that it stands in; it has the label in it */
  constructor(label: string, name: string, press: (on: boolean) => void) {
    this.input = h('input', { type: 'checkbox', role: 'switch', 'aria-label': name });
    this.element = h(
      'label',
      { class: 'switch-line' },
      this.input,
      h('span', { 'aria-hidden': true }, label),
    );
    this.input.addEventListener('change', () => press(this.input.checked));
  }

  get on(): boolean {
    return this.#wanted?.on ?? this.#on;
  }

  /** What is asked for now; `undefined`: nothing any more, because it was refused. */
  want(on: boolean | undefined): void {
    this.#wanted = on === undefined ? undefined : { on, untilMs: performance.now() + WANTED_FOR_MS };
    this.#draw();
  }

  /** What Weft says. */
  show(on: boolean): void {
    this.#on = on;
    if (this.#wanted !== undefined && (this.#wanted.on === on || performance.now() > this.#wanted.untilMs)) {
      this.#wanted = undefined;
    }
    this.#draw();
  }

  #draw(): void {
    if (this.input.checked !== this.on) this.input.checked = this.on;
  }
}
