/** The subflows of one connection as a table; cards where the screen is narrow. */
import type { SubflowReading } from '../../../service/observe/model.ts';
import { h, KeyedList, setText } from '../dom.ts';
import { formatAddressPort, formatBytes, formatRate, formatUs, NOT_KNOWN } from '../format.ts';
import type { PathMarks } from '../path-marks.ts';
import { PATH_STATE_WORDS, subflowKey, subflowRemarkOf } from './connection-words.ts';
import { Badge, swatch, UpDown } from './parts.ts';
import { dataCell, dataRow, dataTable } from './tables.ts';

const COLUMNS = ['Link', 'Addresses', 'State', 'Rate', 'Data', 'RTT', 'Window', 'Resent', 'Congestion'];

const orNotKnown = (value: number | undefined) =>
  value === undefined ? NOT_KNOWN : value.toLocaleString('en');
const bytes = (value: number | undefined) => (value === undefined ? NOT_KNOWN : formatBytes(value));

class SubflowRow {
  readonly element: HTMLTableRowElement;
  readonly #link = h('span');
  readonly #first = h('span', { class: 'quiet small line' });
  readonly #local = h('span', { class: 'line mono' });
  readonly #remote = h('span', { class: 'line mono' });
  readonly #badge = new Badge();
  readonly #state = h('span', { class: 'quiet small remark' });
  readonly #rate = new UpDown();
  readonly #bytes = new UpDown();
  readonly #rtt = h('span', { class: 'line' });
  readonly #variation = h('span', { class: 'quiet small line' });
  readonly #window = h('span');
  readonly #retransmissions = h('span');
  readonly #control = h('span');

  constructor({ path }: SubflowReading, marks: PathMarks) {
    const name = h('strong', {}, path !== undefined && swatch(marks, path), this.#link);
    const contents = [
      [name, this.#first],
      [this.#local, this.#remote],
      [this.#badge.element, this.#state],
      [this.#rate.element],
      [this.#bytes.element],
      [this.#rtt, this.#variation],
      [this.#window],
      [this.#retransmissions],
      [this.#control],
    ];
    this.element = dataRow(
      ...COLUMNS.map((title, at) => {
        const cell = dataCell(title);
        // One box in a cell, because on cards the title stands beside it.
        cell.append(h('span', { class: 'cell' }, ...contents[at]!));
        return cell;
      }),
    );
  }

  show(subflow: SubflowReading): void {
    setText(this.#link, subflow.link ?? NOT_KNOWN);
    setText(this.#first, subflow.initial ? 'first' : '');
    setText(this.#local, formatAddressPort(subflow.localAddress, subflow.localPort));
    setText(this.#remote, `→ ${formatAddressPort(subflow.remoteAddress, subflow.remotePort)}`);
    this.#badge.show(PATH_STATE_WORDS[subflow.state], subflow.state);
    setText(this.#state, subflowRemarkOf(subflow));
    this.#rate.show(formatRate(subflow.receivedBitsPerSecond), formatRate(subflow.sentBitsPerSecond));
    this.#bytes.show(bytes(subflow.receivedBytes), bytes(subflow.sentBytes));
    setText(this.#rtt, formatUs(subflow.rttUs));
    setText(
      this.#variation,
      subflow.rttVariationUs === undefined ? '' : `± ${formatUs(subflow.rttVariationUs)}`,
    );
    setText(this.#window, orNotKnown(subflow.windowSegments));
    setText(this.#retransmissions, orNotKnown(subflow.retransmittedSegments));
    setText(this.#control, subflow.congestionControl ?? NOT_KNOWN);
  }
}

export class SubflowTable {
  readonly element: HTMLElement;
  readonly #empty = h('p', { class: 'quiet' }, 'It has no subflows: it is plain TCP.');
  readonly #table: HTMLElement;
  readonly #rows: KeyedList<SubflowReading, HTMLTableRowElement>;

  constructor(marks: PathMarks) {
    const { element, body } = dataTable('Subflows', COLUMNS);
    this.#table = element;
    this.element = h('div', { class: 'subflows' }, h('h4', {}, 'Subflows'), this.#empty, element);
    const views = new WeakMap<Element, SubflowRow>();
    this.#rows = new KeyedList(body, {
      key: subflowKey,
      create: (subflow) => {
        const view = new SubflowRow(subflow, marks);
        views.set(view.element, view);
        return view.element;
      },
      update: (row, subflow) => views.get(row)!.show(subflow),
    });
  }

  /** `undefined`: not asked for yet. */
  show(subflows: readonly SubflowReading[] | undefined): void {
    this.element.hidden = subflows === undefined;
    this.#empty.hidden = subflows === undefined || subflows.length > 0;
    this.#table.hidden = subflows === undefined || subflows.length === 0;
    this.#rows.show(subflows ?? []);
  }
}
