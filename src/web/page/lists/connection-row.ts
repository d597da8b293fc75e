/** One row of the list of connections; a card where the screen is narrow. Touches only what changes. */
import type { ConnectionReading } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, setAttribute, setClass, setText } from '../dom.ts';
import { formatAge, formatBytes, formatRate, formatUs } from '../format.ts';
import {
  addressesOf,
  destinationOf,
  LIST_COLUMNS,
  ownerDetailOf,
  ownerOf,
  protocolOf,
} from './connection-words.ts';
import { swatch, UpDown } from './parts.ts';

/** A value and, small below it, what else there is to say. */
class TwoLines {
  readonly element: HTMLElement;
  readonly #main = h('span', { class: 'line main' });
  readonly #detail = h('span', { class: 'line detail quiet small' });

  constructor() {
    this.element = h('span', { class: 'two-lines' }, this.#main, this.#detail);
  }

  show(main: string, detail = ''): void {
    setText(this.#main, main);
    setText(this.#detail, detail);
    // Long names are cut off; the whole of them stands in the tip and in the panel of the connection.
    setAttribute(this.element, 'title', detail === '' ? main : `${main}\n${detail}`);
  }
}

export class ConnectionRow {
  readonly element: HTMLElement;
  readonly #program = new TwoLines();
  readonly #destination = new TwoLines();
  readonly #links = h('span', { class: 'links' });
  readonly #protocol = new TwoLines();
  readonly #subflows = h('span');
  readonly #rate = new UpDown();
  readonly #bytes = new UpDown();
  readonly #rtt = h('span');
  readonly #retransmissions = h('span');
  readonly #age = h('span');
  readonly #context: PageContext;
  #linksShown = '';
  #id = '';
  #index = 0;

  constructor(context: PageContext) {
    this.#context = context;
    const contents: Readonly<Record<string, HTMLElement>> = {
      program: this.#program.element,
      destination: this.#destination.element,
      links: this.#links,
      protocol: this.#protocol.element,
      subflows: this.#subflows,
      rate: this.#rate.element,
      bytes: this.#bytes.element,
      rtt: this.#rtt,
      retransmissions: this.#retransmissions,
      age: this.#age,
    };
    const cells = LIST_COLUMNS.map(({ id, title, numeric = false }) =>
      h(
        'div',
        { role: 'gridcell', class: `cell-${id}${numeric ? ' number' : ''}`, 'data-title': title },
        contents[id],
      ),
    );
    this.element = h('div', { role: 'row', class: 'grid-row', tabindex: -1 }, ...cells);
  }

  get id(): string {
    return this.#id;
  }

  /** Its place in the whole list. */
  get index(): number {
    return this.#index;
  }

  show(connection: ConnectionReading, index: number): void {
    this.#id = connection.id;
    this.#index = index;
    setAttribute(this.element, 'data-connection', connection.id);
    // The heads are row 1.
    setAttribute(this.element, 'aria-rowindex', index + 2);
    this.#program.show(ownerOf(connection), ownerDetailOf(connection));
    this.#destination.show(destinationOf(connection), addressesOf(connection));
    this.#showLinks(connection.links);
    this.#protocol.show(protocolOf(connection), connection.fallbackReason);
    setClass(this.element, 'fallback', connection.fallbackReason !== undefined);
    setText(this.#subflows, String(connection.subflowCount));
    this.#rate.show(formatRate(connection.receivedBitsPerSecond), formatRate(connection.sentBitsPerSecond));
    this.#bytes.show(formatBytes(connection.receivedBytes), formatBytes(connection.sentBytes));
    setText(this.#rtt, formatUs(connection.rttUs));
    setText(this.#retransmissions, connection.retransmittedSegments.toLocaleString('en'));
    setText(this.#age, formatAge(connection.openForMs));
  }

  setCurrent(current: boolean): void {
    const tabindex = current ? 0 : -1;
    if (this.element.tabIndex !== tabindex) this.element.tabIndex = tabindex;
  }

  setFollowed(followed: boolean): void {
    setAttribute(this.element, 'aria-selected', followed);
  }

  #showLinks(links: readonly string[]): void {
    const key = links.join('\n');
    if (key === this.#linksShown) return;
    this.#linksShown = key;
    this.#links.replaceChildren(...links.map((link) => this.#linkName(link)));
    setAttribute(this.#links, 'title', links.join(', '));
  }

  #linkName(link: string): HTMLElement {
    const { store, marks } = this.#context;
    const path = store.overview.value?.paths.find((one) => one.link === link);
    const mark = path !== undefined && swatch(marks, path.id);
    return h('span', { class: 'link-name' }, mark, link);
  }
}
