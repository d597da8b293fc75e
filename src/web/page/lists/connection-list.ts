/**
 * The list of connections: as many rows as the screen shows, of a list that Weft sorts and searches. Rows are kept by
 * connection, so that focus and selection stay with it when the order changes.
 *
 * Invariant: at most the rows on the screen and a few beyond are in the document and asked for, however many
 * connections there are. Keys and roles follow the grid pattern of the ARIA Authoring Practices.
 */
import type { ConnectionPage, ConnectionReading } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, KeyedList, perFrame, setAttribute, setText } from '../dom.ts';
import { LIST_COLUMNS, sortingAfter, type Sorting } from './connection-words.ts';
import { ConnectionRow } from './connection-row.ts';
import { askedRows, rowAfterKey, shownRows, type RowRange } from './row-window.ts';

/** Weft gives no more at once. */
const ROWS_ASKED_MAX = 500;
/** Until the first row has been measured. */
const ROW_HEIGHT_GUESS = 48;

const SPARE_ROWS_MAX = 60;

/** As in `ConnectionQuery`. */
export interface RowsAsked {
  readonly offset: number;
  readonly limit: number;
}

export interface ListOptions {
  readonly context: PageContext;
  /** More or other rows are to be asked for. */
  readonly onWant: () => void;
  readonly onFollow: (id: string) => void;
}

export class ConnectionList {
  readonly element: HTMLElement;
  readonly #body: HTMLElement;
  readonly #empty = h('div', { role: 'gridcell', class: 'empty' });
  readonly #emptyRow = h('div', { role: 'row', class: 'empty-row' }, this.#empty);
  readonly #heads: HTMLElement[] = [];
  readonly #rows: KeyedList<ConnectionReading, HTMLElement>;
  readonly #views = new WeakMap<Element, ConnectionRow>();
  /** BOUNDED: `SPARE_ROWS_MAX`. Rows that were scrolled away, for those that come: making one costs most of a frame. */
  readonly #spare: HTMLElement[] = [];
  readonly #options: ListOptions;
  readonly #draw = perFrame(() => this.#drawNow());
  #sorting: Sorting = { sort: 'rate', order: 'descending' };
  #page: ConnectionPage | undefined;
  /** The rows that `#page` answers. */
  #asked: RowsAsked = { offset: 0, limit: 0 };
  /** Index in the whole list of the first row that is drawn. */
  #firstIndex = 0;
  #rowHeight = ROW_HEIGHT_GUESS;
  /** The row that the Tab key leads to: a connection, and where it was last seen. */
  #current = { id: '', index: 0 };
  /** A key has moved to a row that has not come yet. */
  #focusIndex: number | undefined;
  /** While a pointer is pressed nothing moves away below it. */
  #pressed = false;

  constructor(options: ListOptions) {
    this.#options = options;
    this.#body = h('div', { role: 'rowgroup', class: 'grid-body' });
    const rows = h('div', { role: 'presentation', class: 'grid-rows' });
    this.#body.append(rows, this.#emptyRow);
    this.element = h(
      'div',
      { role: 'grid', class: 'grid', 'aria-label': 'Connections', 'aria-colcount': LIST_COLUMNS.length },
      h('div', { role: 'rowgroup', class: 'grid-head' }, this.#headRow()),
      this.#body,
    );
    this.#rows = new KeyedList(rows, {
      key: ({ id }) => id,
      create: () => this.#spare.pop() ?? this.#createRow(),
      removed: (element) => {
        if (this.#spare.length < SPARE_ROWS_MAX) this.#spare.push(element);
      },
      update: (element, connection, at) => this.#updateRow(element, connection, at),
    });
    this.#listen();
    this.#showSorting();
  }

  get sorting(): Sorting {
    return this.#sorting;
  }

  /** Rows to ask for now. */
  get wanted(): RowsAsked {
    return askedRows(this.#shown(), ROWS_ASKED_MAX);
  }

  /** @param nothing what to say when there are no rows */
  show(page: ConnectionPage, asked: RowsAsked, nothing: string): void {
    this.#page = page;
    this.#asked = asked;
    setText(this.#empty, nothing);
    this.#draw();
  }

  redraw(): void {
    this.#draw();
  }

  toTop(): void {
    this.element.scrollTop = 0;
  }

  sortBy(sorting: Sorting): void {
    this.#sorting = sorting;
    this.#showSorting();
    this.toTop();
    this.#options.onWant();
  }

  focusConnection(id: string): void {
    (this.#rows.get(id) ?? this.#currentElement())?.focus({ preventScroll: true });
  }

  #headRow(): HTMLElement {
    const cells = LIST_COLUMNS.map(({ id, title, sort, numeric = false }) => {
      const cell = h('div', { role: 'columnheader', class: `cell-${id}${numeric ? ' number' : ''}` });
      if (sort === undefined) cell.append(title);
      else {
        const press = h('button', { type: 'button', class: 'sort' }, title);
        press.addEventListener('click', () => this.sortBy(sortingAfter(this.#sorting, sort)));
        cell.append(press);
      }
      this.#heads.push(cell);
      return cell;
    });
    return h('div', { role: 'row', class: 'grid-row', 'aria-rowindex': 1 }, ...cells);
  }

  #showSorting(): void {
    for (const [at, { sort }] of LIST_COLUMNS.entries()) {
      if (sort === undefined) continue;
      const order = sort === this.#sorting.sort ? this.#sorting.order : 'none';
      setAttribute(this.#heads[at]!, 'aria-sort', order);
    }
  }

  #listen(): void {
    this.element.addEventListener('scroll', () => this.#draw(), { passive: true });
    new ResizeObserver(() => this.#draw()).observe(this.element);
    this.#body.addEventListener('click', (event) => {
      const id = this.#idAt(event.target);
      if (id !== undefined) this.#options.onFollow(id);
    });
    this.#body.addEventListener('pointerdown', () => {
      this.#pressed = true;
    });
    for (const name of ['pointerup', 'pointercancel'] as const) {
      window.addEventListener(name, () => {
        if (!this.#pressed) return;
        this.#pressed = false;
        // After the click that this may become.
        window.setTimeout(() => this.#draw());
      });
    }
    this.#body.addEventListener('focusin', (event) => {
      const view = this.#viewAt(event.target);
      if (view !== undefined) this.#current = { id: view.id, index: view.index };
    });
    this.#body.addEventListener('keydown', (event) => this.#key(event));
  }

  #viewAt(target: EventTarget | null): ConnectionRow | undefined {
    const element = target instanceof Element ? target.closest('[data-connection]') : null;
    return element === null ? undefined : this.#views.get(element);
  }

  #idAt(target: EventTarget | null): string | undefined {
    return this.#viewAt(target)?.id;
  }

  #key(event: KeyboardEvent): void {
    const view = this.#viewAt(event.target);
    if (view === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.#options.onFollow(view.id);
      return;
    }
    const pageRows = Math.max(1, Math.floor(this.#viewHeight() / this.#rowHeight) - 1);
    const index = rowAfterKey(event.key, view.index, this.#page?.found ?? 0, pageRows);
    if (index === undefined) return;
    event.preventDefault();
    this.#focusIndex = index;
    this.#scrollTo(index);
    this.#drawNow();
  }

  /** Height of the part in which rows are seen, below the heads that stay. */
  #viewHeight(): number {
    const head = this.element.firstElementChild;
    return Math.max(0, this.element.clientHeight - (head?.clientHeight ?? 0));
  }

  #scrollTo(index: number): void {
    const top = index * this.#rowHeight;
    const bottom = top + this.#rowHeight - this.#viewHeight();
    const { scrollTop } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (bottom > scrollTop) this.element.scrollTop = bottom;
  }

  #shown(): RowRange {
    const rowCount = this.#page?.found ?? 0;
    return shownRows({
      scrollTop: this.element.scrollTop,
      viewHeight: Math.max(this.#viewHeight(), this.#rowHeight),
      rowHeight: this.#rowHeight,
      rowCount,
    });
  }

  #currentElement(): HTMLElement | undefined {
    return this.#rows.get(this.#current.id);
  }

  #drawNow(): void {
    const page = this.#page;
    if (page === undefined || this.#pressed) return;
    this.#measure();
    const shown = this.#shown();
    const { offset, limit } = this.#asked;
    const first = Math.max(shown.first, offset);
    const end = Math.min(shown.end, offset + page.rows.length);
    const rows = first < end ? page.rows.slice(first - offset, end - offset) : [];
    this.#body.style.height = page.found === 0 ? '' : `${page.found * this.#rowHeight}px`;
    this.#body.style.paddingBlockStart = `${rows.length === 0 ? 0 : first * this.#rowHeight}px`;
    this.#emptyRow.hidden = page.found > 0;
    setAttribute(this.element, 'aria-rowcount', page.found + 1);
    this.#chooseCurrent(rows, first);
    const focused = this.#body.contains(document.activeElement) ? this.#current : undefined;
    this.#firstIndex = first;
    this.#rows.show(rows);
    this.#restoreFocus(focused);
    // Only what has not been asked for: a list that has become shorter meanwhile must not be asked for again and again.
    if (shown.first < offset || shown.end > offset + limit) this.#options.onWant();
  }

  #createRow(): HTMLElement {
    const view = new ConnectionRow(this.#options.context);
    this.#views.set(view.element, view);
    return view.element;
  }

  #updateRow(element: HTMLElement, connection: ConnectionReading, at: number): void {
    const view = this.#views.get(element)!;
    view.show(connection, this.#firstIndex + at);
    view.setCurrent(connection.id === this.#current.id);
    view.setFollowed(connection.id === this.#options.context.store.followed.value);
  }

  /** Exactly one row can be reached by the Tab key: the one that was last, else one that is on the screen. */
  #chooseCurrent(rows: readonly ConnectionReading[], first: number): void {
    const wanted = this.#focusIndex === undefined ? undefined : rows[this.#focusIndex - first];
    if (wanted !== undefined) this.#current = { id: wanted.id, index: this.#focusIndex! };
    else if (!rows.some(({ id }) => id === this.#current.id) && rows.length > 0) {
      const at = Math.max(0, Math.min(rows.length - 1, this.#current.index - first));
      this.#current = { id: rows[at]!.id, index: first + at };
    }
  }

  /** Moving a row, or taking it away, has taken the focus from it. */
  #restoreFocus(focused: { readonly id: string } | undefined): void {
    const moved = this.#focusIndex !== undefined && this.#focusIndex === this.#current.index;
    if (moved) this.#focusIndex = undefined;
    if (!moved && focused === undefined) return;
    const element = this.#currentElement();
    if (element !== undefined && element !== document.activeElement) element.focus({ preventScroll: true });
  }

  #measure(): void {
    const row = this.#body.querySelector<HTMLElement>('[data-connection]');
    if (row !== null && row.offsetHeight > 0) this.#rowHeight = row.offsetHeight;
  }
}
