/**
 * Control of the kernel's endpoints that are there: make one backup or normal, full mesh or not, or remove it. Each is
 * asked about once more, with its command line, because subflows change or end at once. Weft's own are changed through
 * their path and not removed here.
 */
import type { ActionAnswer } from '../../../service/observe/api.ts';
import type { EndpointReport } from '../../../service/control-api.ts';
import type { PageContext } from '../context.ts';
import { button, h, KeyedList, setAttribute, setText } from '../dom.ts';
import { ActionPanel } from './action.ts';
import { endpointChangeCommand, endpointRemoveCommand } from './command-lines.ts';
import { dataCell, dataTable } from './tables.ts';

const COLUMNS = ['Id', 'Address', 'Link', 'Port', 'Flags', 'Whose', 'Change'] as const;
/** In place of buttons, because Weft would only refuse. */
const OURS = 'Weft keeps it: change its path above';

interface Question {
  readonly text: string;
  readonly doing: string;
  readonly command: string;
  readonly action: () => Promise<ActionAnswer>;
  /** Gets the focus back. */
  readonly asker: HTMLElement;
}

/** What is about to be done to an endpoint, and what came of it. It outlives the endpoint's row. */
class QuestionPanel {
  readonly element: HTMLElement;
  readonly #panel = new ActionPanel();
  readonly #text = h('p');
  readonly #confirm = button('', () => void this.#confirmed());
  readonly #cancel = button('Cancel', () => this.#close());
  readonly #buttons = h('div', { class: 'buttons' }, this.#confirm, this.#cancel);
  readonly #heading: HTMLElement;
  #question: Question | undefined;

  /** @param heading gets the focus when the row that asked is gone */
  constructor(heading: HTMLElement) {
    this.#heading = heading;
    this.element = h('div', { class: 'question', role: 'group', 'aria-label': 'Change of an endpoint' });
    this.element.append(this.#text, this.#panel.element, this.#buttons);
    this.element.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#close();
    });
    this.#show(undefined);
  }

  ask(question: Question): void {
    if (this.#panel.running) return;
    this.#panel.clear();
    this.#show(question);
    this.#confirm.focus();
  }

  #show(question: Question | undefined): void {
    this.#question = question;
    setText(this.#text, question?.text ?? '');
    setText(this.#confirm, question?.doing ?? '');
    setAttribute(this.#confirm, 'class', question?.doing === 'Remove' ? 'danger' : 'primary');
    this.#panel.preview(question?.command);
    this.#buttons.hidden = question === undefined;
    setAttribute(this.element, 'class', question === undefined ? 'answer' : 'question');
  }

  async #confirmed(): Promise<void> {
    const question = this.#question;
    if (question === undefined) return;
    const done = await this.#panel.run(question.action);
    // What was refused can be tried again, or cancelled.
    if (done) this.#close(question.doing === 'Remove');
  }

  #close(removed = false): void {
    // The row of what was removed is still there, but not for long.
    const asker = removed ? undefined : this.#question?.asker;
    const hadFocus = this.element.contains(document.activeElement);
    this.#show(undefined);
    if (hadFocus) (asker?.isConnected === true ? asker : this.#heading).focus();
  }
}

class EndpointView {
  readonly element = h('tr', { role: 'row' });
  readonly #api: PageContext['api'];
  readonly #panel: QuestionPanel;
  readonly #cells = COLUMNS.map((title) => dataCell(title));
  readonly #backup = button('', () => this.#askChange('backup'));
  readonly #fullmesh = button('', () => this.#askChange('fullmesh'));
  readonly #remove = button('', () => this.#askRemoval(), { class: 'danger' });
  readonly #buttons = h('div', { class: 'buttons' }, this.#backup, this.#fullmesh, this.#remove);
  readonly #kept = h('span', { class: 'quiet small' }, OURS);
  #endpoint: EndpointReport;

  constructor(endpoint: EndpointReport, { api }: PageContext, panel: QuestionPanel) {
    this.#api = api;
    this.#panel = panel;
    this.#endpoint = endpoint;
    this.#cells.at(-1)!.append(this.#buttons, this.#kept);
    this.element.append(...this.#cells);
  }

  show(endpoint: EndpointReport): void {
    this.#endpoint = endpoint;
    const { id, address, link, port, flags, ours } = endpoint;
    const texts = [
      String(id),
      address,
      link ?? 'any',
      port === 0 ? 'none' : String(port),
      flags.join(' ') || 'none',
      ours ? 'Weft' : 'others',
    ];
    for (const [at, text] of texts.entries()) setText(this.#cells[at]!, text);
    this.#label(this.#backup, flags.includes('backup') ? 'Make normal' : 'Make backup');
    this.#label(this.#fullmesh, flags.includes('fullmesh') ? 'End full mesh' : 'Full mesh');
    this.#label(this.#remove, 'Remove');
    this.#buttons.hidden = ours;
    this.#kept.hidden = !ours;
    // The kernel's own notes about addresses in use cannot be changed.
    const implicit = flags.includes('implicit');
    this.#backup.hidden = implicit;
    this.#fullmesh.hidden = implicit;
  }

  #label(element: HTMLButtonElement, text: string): void {
    const { id, address } = this.#endpoint;
    setText(element, `${text} …`);
    setAttribute(element, 'aria-label', `${text}: endpoint ${id}, ${address}`);
  }

  #askChange(flag: 'backup' | 'fullmesh'): void {
    const { id, address, flags } = this.#endpoint;
    const on = !flags.includes(flag);
    const action = flag === 'backup' ? { id, backup: on } : { id, fullmesh: on };
    const wordsOn = flag === 'backup' ? 'backup' : 'full mesh';
    const wordsOff = flag === 'backup' ? 'normal' : 'not full mesh';
    this.#panel.ask({
      text: `Make endpoint ${id} (${address}) ${on ? wordsOn : wordsOff}?`,
      doing: 'Change',
      command: endpointChangeCommand(action),
      action: () => this.#api.changeEndpoint(action),
      asker: flag === 'backup' ? this.#backup : this.#fullmesh,
    });
  }

  #askRemoval(): void {
    const { id, address } = this.#endpoint;
    this.#panel.ask({
      text: `Remove endpoint ${id} (${address})? Its subflows end.`,
      doing: 'Remove',
      command: endpointRemoveCommand({ id }),
      action: () => this.#api.removeEndpoint({ id }),
      asker: this.#remove,
    });
  }
}

export function mountEndpointControl(root: HTMLElement, context: PageContext): void {
  const heading = h('h3', { tabindex: -1 }, 'Endpoints');
  const empty = h('p', { class: 'quiet' }, 'The path manager has no endpoint.');
  const { element, body } = dataTable('Endpoints of the path manager', COLUMNS);
  const panel = new QuestionPanel(heading);
  root.append(heading, empty, element, panel.element);
  const views = new WeakMap<Element, EndpointView>();
  const list = new KeyedList<EndpointReport, HTMLTableRowElement>(body, {
    key: ({ id, address }) => `${id} ${address}`,
    create: (endpoint) => {
      const view = new EndpointView(endpoint, context, panel);
      views.set(view.element, view);
      return view.element;
    },
    update: (row, endpoint) => views.get(row)!.show(endpoint),
  });
  context.store.overview.watch((overview) => {
    const endpoints = (overview?.endpoints ?? []).toSorted((a, b) => a.id - b.id);
    empty.hidden = overview === undefined || endpoints.length > 0;
    element.hidden = endpoints.length === 0;
    list.show(endpoints);
  });
}
