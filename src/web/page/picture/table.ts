/** The picture's facts as a table: for screen readers always, for everybody on demand. */
import { h, KeyedList, setAttribute, setText } from '../dom.ts';
import { formatRate, formatShare, formatUs } from '../format.ts';
import type { Picture, PictureRow } from './model.ts';

const COLUMNS = [
  'Path',
  'Link',
  'Gateway',
  'State',
  'Subflows',
  'Receiving',
  'Sending',
  'RTT',
  'Loss',
  'Leads to',
] as const;
const NUMBERS: ReadonlySet<string> = new Set(['Subflows', 'Receiving', 'Sending', 'RTT', 'Loss']);

const cellClass = (column: string) => (NUMBERS.has(column) ? { class: 'number' } : {});

export class PictureTable {
  readonly table: HTMLTableElement;
  readonly #rows: KeyedList<PictureRow, HTMLTableRowElement>;
  /** By way out, the other ends that it leads to. */
  #leadsTo = new Map<string, string[]>();

  constructor() {
    const body = h('tbody');
    this.table = h(
      'table',
      { class: 'list' },
      h('caption', { class: 'visually-hidden' }, 'The paths of this host, as in the picture'),
      h(
        'thead',
        {},
        h('tr', {}, ...COLUMNS.map((name) => h('th', { scope: 'col', ...cellClass(name) }, name))),
      ),
      body,
    );
    this.#rows = new KeyedList(body, {
      key: ({ id }) => id,
      create: (row) => {
        const element = h('tr', { 'data-path': row.id }, h('th', { scope: 'row', class: 'mono' }));
        for (const name of COLUMNS.slice(1)) element.append(h('td', cellClass(name)));
        element.children[COLUMNS.indexOf('State')]!.append(
          h('span', { class: 'badge' }),
          h('span', { class: 'small' }),
        );
        return element;
      },
      update: (element, row) => this.#update(element, row),
    });
  }

  #update(element: HTMLTableRowElement, row: PictureRow): void {
    const cell = (name: (typeof COLUMNS)[number]) => element.children[COLUMNS.indexOf(name)]!;
    setText(cell('Path'), row.name === undefined ? row.address : `${row.name} ${row.address}`);
    setText(cell('Link'), row.link);
    setText(cell('Gateway'), row.gateway ?? '–');
    const [badge, why] = [...cell('State').children];
    setAttribute(badge!, 'data-state', row.state);
    setText(badge!, row.state);
    setText(why!, row.why === undefined ? '' : ` ${row.why}`);
    setText(cell('Subflows'), row.subflows === undefined ? '–' : String(row.subflows));
    setText(cell('Receiving'), formatRate(row.receivedBitsPerSecond));
    setText(cell('Sending'), formatRate(row.sentBitsPerSecond));
    setText(cell('RTT'), formatUs(row.rttUs));
    setText(cell('Loss'), formatShare(row.lossShare));
    setText(cell('Leads to'), this.#leadsTo.get(row.id)?.join(', ') ?? 'nobody now');
  }

  show(picture: Picture): void {
    const names = new Map(picture.peers.map((peer) => [peer.id, peer.name]));
    this.#leadsTo = new Map();
    for (const way of picture.ways) {
      const name = names.get(way.peer) ?? way.peer;
      const list = this.#leadsTo.get(way.row);
      if (list) list.push(name);
      else this.#leadsTo.set(way.row, [name]);
    }
    this.#rows.show(picture.rows);
  }
}
