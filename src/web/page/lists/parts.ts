/**
 * Small pieces that several lists are made of: a line to copy, a badge for a state, a pair of numbers up and down, a
 * list of names and values. They show text; they know neither Weft's calls nor the store.
 */
import type { Finding } from '../../../service/observe/api.ts';
import type { PathState } from '../../../service/observe/model.ts';
import { h, setAttribute, setText } from '../dom.ts';
import type { PathMarks } from '../path-marks.ts';

type Verdict = Finding['verdict'];

/** How long the button says that it has copied. */
const COPIED_MS = 2000;

/** A command line with a button that copies it. `show(undefined)` hides it. */
export class CommandLine {
  readonly element: HTMLElement;
  readonly #code = h('code');
  readonly #button = h('button', { type: 'button', class: 'copy' }, 'Copy');
  #timer = 0;

  constructor(label?: string) {
    this.element = h('span', { class: 'command-line' });
    if (label !== undefined) this.element.append(h('span', { class: 'command-label' }, label), ' ');
    this.element.append(this.#code, this.#button);
    this.#button.addEventListener('click', () => void this.#copy());
    this.show(undefined);
  }

  show(command: string | undefined): void {
    this.element.hidden = command === undefined;
    setText(this.#code, command ?? '');
    setAttribute(this.#button, 'aria-label', `Copy ${command ?? ''}`);
  }

  async #copy(): Promise<void> {
    let word = 'Copied';
    try {
      await navigator.clipboard.writeText(this.#code.textContent);
    } catch {
      // Browsers refuse it to pages that came by plain HTTP from another host.
      window.getSelection()?.selectAllChildren(this.#code);
      word = 'Press Ctrl+C';
    }
    setText(this.#button, word);
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => setText(this.#button, 'Copy'), COPIED_MS);
  }
}

/** A word with a sign and a colour (`.badge` of styles/base.css); the word alone says everything. */
export class Badge {
  readonly element = h('span', { class: 'badge' });

  show(text: string, state: PathState | Verdict): void {
    setText(this.element, text);
    setAttribute(this.element, 'data-state', state);
  }
}

/**
 * The colour that a path has in the picture and the charts, as a small square beside its name.
 * @param path `PathReading.id`
 */
export function swatch(marks: PathMarks, path: string): HTMLElement {
  return h('span', { class: `swatch path-${marks.of(path).color}`, 'aria-hidden': true });
}

/** What came and what went, one above the other; the arrows are words for those who hear the page. */
export class UpDown {
  readonly element: HTMLElement;
  readonly #down = h('span');
  readonly #up = h('span');

  constructor() {
    this.element = h(
      'span',
      { class: 'up-down' },
      h('span', { class: 'line' }, arrow('↓', 'received'), this.#down),
      h('span', { class: 'line' }, arrow('↑', 'sent'), this.#up),
    );
  }

  show(received: string, sent: string): void {
    setText(this.#down, received);
    setText(this.#up, sent);
  }
}

function arrow(sign: string, word: string): HTMLElement {
  return h(
    'span',
    { class: 'arrow' },
    h('span', { 'aria-hidden': true }, sign),
    h('span', { class: 'visually-hidden' }, `${word} `),
  );
}

/** Names and values that stay as long as their names do. */
export class Facts {
  readonly element = h('dl', { class: 'facts' });
  /** BOUNDED: by the names that the page's own code, or one finding, gives. */
  readonly #values = new Map<string, HTMLElement>();
  #names = '';

  show(facts: readonly (readonly [name: string, value: string])[]): void {
    const names = JSON.stringify(facts.map(([name]) => name));
    if (names !== this.#names) {
      this.#names = names;
      this.#values.clear();
      this.element.replaceChildren(
        ...facts.map(([name], at) => {
          const value = h('dd');
          this.#values.set(`${at}`, value);
          return h('div', {}, h('dt', {}, name), value);
        }),
      );
    }
    for (const [at, [, value]] of facts.entries()) setText(this.#values.get(`${at}`)!, value);
    this.element.hidden = facts.length === 0;
  }
}

/** A message that appears in place; hidden when there is none. `alert` is read out at once, so it is for failures. */
export class Message {
  readonly element: HTMLElement;

  constructor(role: 'status' | 'alert') {
    this.element = h('p', { class: role === 'alert' ? 'message error' : 'message', role });
  }

  /** The element stays while it is empty: only what changes in a live region is read out. */
  show(text: string | undefined): void {
    setText(this.element, text ?? '');
  }
}
