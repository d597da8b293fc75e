/**
 * The newest events, and who wants to hear of new ones (pure but for the clock it is given). A flood of the kernel's
 * events, as a busy host has, must neither push everything else out nor cost much: of each second a share is kept,
 * and the rest is counted and told as one event.
 *
 * BOUNDED: EVENTS_KEPT_MAX events, PER_SECOND_MAX of the kernel's a second.
 */
import { errorText, type Logger } from '../../base/index.ts';
import { EVENTS_KEPT_MAX, type ObservedEvent, type ObservedEventKind, type RecentEvents } from './model.ts';

/** Of the kernel's kinds, which come by the thousand. */
const PER_SECOND_MAX = 200;
const FLOODS: ReadonlySet<ObservedEventKind> = new Set(['mptcp', 'network']);

export class EventList {
  readonly #logger: Logger;
  /** A ring: the oldest stands at `#first`. */
  readonly #events: ObservedEvent[] = [];
  #first = 0;
  #dropped = 0;
  /** UNBOUNDED: as many as watch; the control socket and the web server bound theirs. */
  readonly #watchers = new Set<(event: ObservedEvent) => void>();
  #second = 0;
  #inSecond = 0;
  #leftOut = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(event: ObservedEvent): void {
    if (this.admits(event.kind, event.time)) this.#keep(event);
  }

  /** Lists an event that was admitted, which is made only then: the kernel's come by the thousand. */
  addAdmitted(event: ObservedEvent): void {
    this.#keep(event);
  }

  /** Whether one more is listed; if not, it is counted. */
  admits(kind: ObservedEventKind, time: number): boolean {
    const second = Math.floor(time / 1000);
    if (second !== this.#second) this.#turnSecond(second, time);
    if (!FLOODS.has(kind) || ++this.#inSecond <= PER_SECOND_MAX) return true;
    this.#leftOut++;
    this.#dropped++;
    return false;
  }

  #turnSecond(second: number, time: number): void {
    this.#second = second;
    this.#inSecond = 0;
    if (this.#leftOut === 0) return;
    const count = this.#leftOut;
    this.#leftOut = 0;
    this.#keep({
      time,
      kind: 'service',
      event: 'left-out',
      text: `${count} events of connections and links came too fast and are not listed`,
      fields: { count },
    });
  }

  #keep(event: ObservedEvent): void {
    if (this.#events.length < EVENTS_KEPT_MAX) this.#events.push(event);
    else {
      this.#events[this.#first] = event;
      this.#first = (this.#first + 1) % EVENTS_KEPT_MAX;
      this.#dropped++;
    }
    for (const watcher of this.#watchers) {
      try {
        watcher(event);
      } catch (error) {
        this.#logger.error({}, `somebody who watches events failed: ${errorText(error)}`);
      }
    }
  }

  /** Tells what is still to be told of a flood that has ended. */
  settle(time: number): void {
    const second = Math.floor(time / 1000);
    if (second !== this.#second) this.#turnSecond(second, time);
  }

  /** @returns what ends it */
  watch(watcher: (event: ObservedEvent) => void): () => void {
    // Each call is an entry of its own, whatever function it brings.
    const entry = (event: ObservedEvent) => watcher(event);
    this.#watchers.add(entry);
    return () => {
      this.#watchers.delete(entry);
    };
  }

  recent(): RecentEvents {
    const events = [...this.#events.slice(this.#first), ...this.#events.slice(0, this.#first)];
    return { events, dropped: this.#dropped };
  }
}
