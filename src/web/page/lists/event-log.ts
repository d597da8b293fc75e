/**
 * The events that the page knows of and which of them are shown (pure): those of before the page was there and those
 * that came since, each once, oldest first.
 *
 * Invariant: at most `EVENTS_KNOWN_MAX` are kept and at most `EVENTS_SHOWN_MAX` are shown; how many were left out is
 * told.
 */
import type { ObservedEvent, ObservedEventKind } from '../../../service/observe/model.ts';

export const EVENTS_KNOWN_MAX = 2000;
export const EVENTS_SHOWN_MAX = 500;

export const EVENT_KIND_WORDS: Readonly<Record<ObservedEventKind, string>> = {
  path: 'Paths',
  mptcp: 'MPTCP',
  network: 'Network',
  endpoint: 'Endpoints',
  limits: 'Limits',
  tunnel: 'Tunnels',
  action: 'Actions',
  service: 'Weft',
};

/** In the order in which they can be chosen. */
export const OBSERVED_KINDS = Object.keys(EVENT_KIND_WORDS) as readonly ObservedEventKind[];

/** An event with a number of its own on this page, greater than those of all earlier ones. */
export interface NumberedEvent {
  readonly number: number;
  readonly event: ObservedEvent;
}

export interface EventFilter {
  /** Kinds that are left out. */
  readonly hidden: ReadonlySet<ObservedEventKind>;
  /** Words that must all occur, in any letters' case. */
  readonly search: string;
}

export function matchesFilter({ kind, event, text, fields }: ObservedEvent, filter: EventFilter): boolean {
  if (filter.hidden.has(kind)) return false;
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const fieldWords = Object.entries(fields).map(([name, value]) => `${name} ${value}`);
  const all = [kind, event, text, ...fieldWords].join(' ').toLowerCase();
  return words.every((word) => all.includes(word));
}

const identityOf = ({ time, kind, event, text, fields }: ObservedEvent) =>
  JSON.stringify([time, kind, event, text, fields]);

export class EventLog {
  /** BOUNDED: the newest `EVENTS_KNOWN_MAX`. */
  #events: NumberedEvent[] = [];
  #next = 0;
  #leftOut = 0;

  /** Older events that nobody here knows any more, or never did. */
  get leftOut(): number {
    return this.#leftOut;
  }

  add(event: ObservedEvent): NumberedEvent {
    const numbered = { number: this.#next++, event };
    this.#events.push(numbered);
    // Not one by one, because that would move all of them each time.
    if (this.#events.length > EVENTS_KNOWN_MAX + 200) this.#trim();
    return numbered;
  }

  /** Events that Weft had to leave out because this page was too slow. */
  noteLost(count: number): void {
    this.#leftOut += count;
  }

  /**
   * Weft's own list, which takes the place of what was known; of what came while it was asked for, `meanwhile`, it
   * may have some already.
   */
  replace(recent: readonly ObservedEvent[], dropped: number, meanwhile: readonly ObservedEvent[] = []): void {
    const known = new Set(recent.slice(-meanwhile.length - 100).map(identityOf));
    const later = meanwhile.filter((event) => !known.has(identityOf(event)));
    this.#leftOut = dropped;
    this.#events = [...recent, ...later].map((event) => ({ number: this.#next++, event }));
    this.#trim();
  }

  #trim(): void {
    const tooMany = this.#events.length - EVENTS_KNOWN_MAX;
    if (tooMany <= 0) return;
    this.#events.splice(0, tooMany);
    this.#leftOut += tooMany;
  }

  /** Oldest first; changed in place by the next event. */
  get events(): readonly NumberedEvent[] {
    return this.#events;
  }

  get size(): number {
    return this.#events.length;
  }
}

/** Those that match, the newest first, and how many match altogether. */
export function newestMatching(
  events: readonly NumberedEvent[],
  filter: EventFilter,
): { readonly shown: readonly NumberedEvent[]; readonly found: number } {
  const shown: NumberedEvent[] = [];
  let found = 0;
  for (let at = events.length - 1; at >= 0; at--) {
    const one = events[at]!;
    if (!matchesFilter(one.event, filter)) continue;
    found++;
    if (shown.length < EVENTS_SHOWN_MAX) shown.push(one);
  }
  return { shown, found };
}
