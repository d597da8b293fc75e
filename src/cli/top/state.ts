/**
 * What `weft top` knows and what it shows of it (no input or output): readings come in, keys change what is shown, and
 * the answer says what is to be done.
 *
 * BOUNDED: the newest `EVENTS_KEPT` events, one page of connections, one connection in detail.
 */
import {
  CONNECTION_SORTS,
  type ConnectionDetail,
  type ConnectionPage,
  type ConnectionQuery,
  type ConnectionSort,
  type ObservedEvent,
  type Overview,
} from '../../service/index.ts';
import type { Key } from './keys.ts';

export const EVENTS_KEPT = 500;
/** BOUNDED: what can be typed. */
const SEARCH_MAX_LENGTH = 64;

export type View = 'overview' | 'connections' | 'events' | 'connection' | 'help';

/** What a key asks of the program: to draw, to ask for other rows too, or to end. */
export type Deed = 'nothing' | 'draw' | 'ask' | 'repaint' | 'suspend' | 'quit';

/** Where the readings come from, and whether they still do. */
export interface SourceState {
  /** `the running Weft` */
  readonly name: string;
  /** A sentence about it that is shown as long as it holds. */
  readonly note?: string;
  /** Of the wall clock, when it was lost. */
  readonly lostAtMs?: number;
}

/** A connection that is followed. */
export interface Followed {
  readonly id: string;
  readonly detail?: ConnectionDetail;
  /** When it was found to be gone; `detail` is what was known last. */
  readonly endedAtMs?: number;
}

/** Ascending is the natural order of these. */
const ASCENDING: ReadonlySet<ConnectionSort> = new Set<ConnectionSort>(['remote', 'program', 'rtt']);

export class TopState {
  view: View = 'overview';
  sort: ConnectionSort = 'rate';
  ascending = false;
  search = '';
  /** What is being typed; `undefined`: nothing is. */
  draft: string | undefined;
  paused = false;
  /** Nothing was told for a while. */
  isSilent = false;
  /** The first row that is shown, and the chosen one, among those that were found. */
  offset = 0;
  cursor = 0;
  selectedId: string | undefined;
  overview: Overview | undefined;
  page: ConnectionPage | undefined;
  /** The place of its first row. */
  pageOffset = 0;
  followed: Followed | undefined;
  events: readonly ObservedEvent[] = [];
  eventsLost = 0;
  /** How many lines of events are scrolled away, from the newest. */
  eventOffset = 0;
  source: SourceState;
  /** An answer that was a failure: one sentence, until the next answer. */
  trouble: string | undefined;
  /** Where help was asked for, and a connection was chosen. */
  #viewBefore: View = 'overview';

  constructor(source: SourceState) {
    this.source = source;
  }

  /** What to ask for, to fill `rows` rows. */
  query(rows: number): ConnectionQuery {
    return {
      ...(this.search === '' ? {} : { search: this.search }),
      sort: this.sort,
      order: this.ascending ? 'ascending' : 'descending',
      offset: this.offset,
      limit: Math.max(1, rows),
    };
  }

  handleOverview(overview: Overview): void {
    this.overview = overview;
  }

  /** @param page the answer to `query` with this offset */
  handlePage(page: ConnectionPage, offset: number): void {
    // What was asked before a key changed it is of no use.
    if (offset !== this.offset) return;
    this.page = page;
    this.pageOffset = offset;
    this.trouble = undefined;
    const kept = page.rows.findIndex(({ id }) => id === this.selectedId);
    if (kept >= 0) this.cursor = offset + kept;
    else this.cursor = Math.max(0, Math.min(this.cursor, page.found - 1));
    this.#select();
  }

  #select(): void {
    this.selectedId = this.page?.rows[this.cursor - this.pageOffset]?.id;
  }

  handleDetail(id: string, detail: ConnectionDetail | undefined, nowMs: number): void {
    if (this.followed?.id !== id) return;
    if (detail !== undefined) this.followed = { id, detail };
    else if (this.followed.endedAtMs === undefined) this.followed = { ...this.followed, endedAtMs: nowMs };
  }

  handleEvent(event: ObservedEvent): void {
    this.events = [...this.events, event].slice(-EVENTS_KEPT);
    // Who has scrolled back keeps seeing the same lines.
    if (this.eventOffset > 0) this.eventOffset = Math.min(this.eventOffset + 1, this.events.length - 1);
  }

  handleEvents(events: readonly ObservedEvent[]): void {
    this.events = events.slice(-EVENTS_KEPT);
    this.eventOffset = 0;
  }

  /** @param rows how many connections, or events, the screen shows now */
  handleKey(key: Key, rows: number): Deed {
    if (key.name === 'interrupt') return 'quit';
    if (key.name === 'suspend') return 'suspend';
    if (key.name === 'redraw') return 'repaint';
    if (this.draft !== undefined) return this.#handleTyping(this.draft, key);
    if (this.view === 'help') return this.#handleHelpKey(key);
    switch (key.name) {
      case 'text':
        return this.#handleCharacter(key.text);
      case 'up':
        return this.#move(-1, rows);
      case 'down':
        return this.#move(1, rows);
      case 'page-up':
        return this.#move(-Math.max(1, rows - 1), rows);
      case 'page-down':
        return this.#move(Math.max(1, rows - 1), rows);
      case 'home':
        return this.#move(-Infinity, rows);
      case 'end':
        return this.#move(Infinity, rows);
      case 'enter':
        return this.#follow();
      case 'escape':
        return this.#leave();
      case 'tab':
        return this.#show(NEXT_VIEW[this.view]);
      default:
        return 'nothing';
    }
  }

  #handleHelpKey(key: Key): Deed {
    if (key.name === 'text' && key.text === 'q') return 'quit';
    return this.#show(this.#viewBefore);
  }

  #handleTyping(draft: string, key: Key): Deed {
    switch (key.name) {
      case 'text':
        this.draft = (draft + key.text).slice(0, SEARCH_MAX_LENGTH);
        break;
      case 'backspace':
        this.draft = draft.slice(0, -1);
        break;
      case 'clear-line':
        this.draft = '';
        break;
      case 'enter':
        this.draft = undefined;
        return this.#searchFor(draft);
      case 'escape':
        this.draft = undefined;
        return this.#searchFor('');
      default:
        return 'nothing';
    }
    return this.#searchFor(this.draft);
  }

  #searchFor(text: string): Deed {
    if (text.trim() === this.search) return 'draw';
    this.search = text.trim();
    this.#toTop();
    return 'ask';
  }

  #toTop(): void {
    this.offset = 0;
    this.cursor = 0;
    this.selectedId = undefined;
  }

  #handleCharacter(text: string): Deed {
    switch (text) {
      case 'q':
        return 'quit';
      case 's':
        return this.#sortBy(1);
      case 'S':
        return this.#sortBy(-1);
      case 'r':
        this.ascending = !this.ascending;
        this.#toTop();
        return 'ask';
      case '/':
        if (this.view === 'connection' || this.view === 'events') this.#show('connections');
        this.draft = this.search;
        return 'draw';
      case 'p':
      case ' ':
        this.paused = !this.paused;
        return this.paused ? 'draw' : 'ask';
      case '1':
        return this.#show('overview');
      case '2':
        return this.#show('connections');
      case '3':
        return this.#show('events');
      case '?':
      case 'h':
        return this.#show('help');
      case 'k':
        return this.#move(-1, 1);
      case 'j':
        return this.#move(1, 1);
      default:
        return 'nothing';
    }
  }

  /** @param reverse the other way round than is natural for it */
  setOrder(sort: ConnectionSort, reverse: boolean): void {
    this.sort = sort;
    this.ascending = ASCENDING.has(sort) !== reverse;
  }

  #sortBy(step: number): Deed {
    const at = CONNECTION_SORTS.indexOf(this.sort) + step + CONNECTION_SORTS.length;
    this.setOrder(CONNECTION_SORTS[at % CONNECTION_SORTS.length] ?? 'rate', false);
    this.#toTop();
    return 'ask';
  }

  #show(view: View): Deed {
    if (view === this.view) return 'nothing';
    if (view === 'help' || view === 'connection') {
      if (this.view !== 'help' && this.view !== 'connection') this.#viewBefore = this.view;
    } else {
      this.followed = undefined;
      this.eventOffset = 0;
    }
    this.view = view;
    return 'ask';
  }

  #leave(): Deed {
    if (this.view === 'connection') return this.#show(this.#viewBefore);
    if (this.search !== '') return this.#searchFor('');
    return this.#show('overview');
  }

  #follow(): Deed {
    if (this.view === 'events' || this.selectedId === undefined) return 'nothing';
    if (this.view === 'connection') return 'nothing';
    this.followed = { id: this.selectedId };
    return this.#show('connection');
  }

  #move(step: number, rows: number): Deed {
    if (this.view === 'events') {
      const most = Math.max(0, this.events.length - Math.max(1, rows));
      this.eventOffset = Math.max(0, Math.min(most, this.eventOffset - step));
      return 'draw';
    }
    if (this.view === 'connection' || this.page === undefined) return 'nothing';
    this.cursor = Math.max(0, Math.min(this.page.found - 1, this.cursor + step));
    const before = this.offset;
    this.keepInView(rows);
    this.#select();
    return this.offset === before ? 'draw' : 'ask';
  }

  /** Scrolls so that the chosen row is among `rows` rows. */
  keepInView(rows: number): void {
    const most = Math.max(1, rows);
    if (this.cursor < this.offset) this.offset = this.cursor;
    if (this.cursor >= this.offset + most) this.offset = this.cursor - most + 1;
  }
}

const NEXT_VIEW: Readonly<Record<View, View>> = {
  overview: 'connections',
  connections: 'events',
  events: 'overview',
  connection: 'overview',
  help: 'overview',
};
