/** One row of the list of connections; a card where the screen is narrow. Touches only what changes. */
import type { ConnectionReading, PathReading, PathState } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, setAttribute, setClass, setText } from '../dom.ts';
import { formatAge, formatBytes, formatRate, formatUs } from '../format.ts';
import {
  addressesOf,
  destinationOf,
  LIST_COLUMNS,
  ownerDetailOf,
  ownerOf,
  PATH_STATE_WORDS,
  protocolOf,
} from './connection-words.ts';
import { swatch, UpDown } from './parts.ts';

/** Nothing goes over such a path. */
const isOut = (state: PathState) => state === 'down' || state === 'stale';

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
    this.#showLinks(connection);
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

  /** A link that carries nothing now says so here at once: the kernel gives its subflows up only much later. */
  #showLinks({ links, remoteAddress }: ConnectionReading): void {
    const family = remoteAddress.includes(':') ? 6 : 4;
    const shown = links.map((link) => ({ link, path: this.#pathOf(link, family) }));
    const key = JSON.stringify(shown.map(({ link, path }) => [link, path?.id, path?.state]));
    if (key === this.#linksShown) return;
    this.#linksShown = key;
    this.#links.replaceChildren(...shown.map(({ link, path }) => this.#linkName(link, path)));
    setAttribute(this.#links, 'title', links.join(', '));
  }

  /** Of the connection's own family: a cut link's idle address of the other one knows of nothing. Then the best. */
  #pathOf(link: string, family: 4 | 6): PathReading | undefined {
    const all = this.#context.store.overview.value?.paths.filter((path) => path.link === link) ?? [];
    const own = all.filter((path) => path.family === family);
    const paths = own.length > 0 ? own : all;
    return paths.find(({ state }) => !isOut(state)) ?? paths[0];
  }

  #linkName(link: string, path: PathReading | undefined): HTMLElement {
    const out = path !== undefined && isOut(path.state) ? path.state : undefined;
    return h(
      'span',
      { class: 'link-name', 'data-state': out },
      path !== undefined && swatch(this.#context.marks, path.id),
      out === undefined ? link : `${link} ${PATH_STATE_WORDS[out]}`,
    );
  }
}
