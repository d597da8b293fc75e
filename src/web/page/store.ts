/**
 * Values that parts of the page watch, and what all parts have in common. Pure: no DOM, no clock; a listener that
 * throws is reported and does not keep the others from being told.
 */
import type { ObservedEvent, Overview } from '../../service/observe/model.ts';

export type Unwatch = () => void;

class Listeners<T> {
  /** UNBOUNDED: as many as the page's own parts ask for, because nothing from the network adds one. */
  readonly #all = new Set<(value: T) => void>();

  add(listener: (value: T) => void): Unwatch {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  tell(value: T): void {
    for (const listener of this.#all) {
      try {
        listener(value);
      } catch (error) {
        // Told to the console as what it is, an error that nobody has caught.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** A value of which there is always one: the newest. */
export class Cell<T> {
  readonly #listeners = new Listeners<T>();
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  /** Tells the listeners, unless it is the very same value. */
  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    this.#listeners.tell(value);
  }

  /** `listener` gets the present value at once, then each new one. */
  watch(listener: (value: T) => void): Unwatch {
    const unwatch = this.#listeners.add(listener);
    listener(this.#value);
    return unwatch;
  }
}

/** Values each of which matters, and that nobody keeps here. */
export class Channel<T> {
  readonly #listeners = new Listeners<T>();

  send(value: T): void {
    this.#listeners.tell(value);
  }

  watch(listener: (value: T) => void): Unwatch {
    return this.#listeners.add(listener);
  }
}

/**
 * connecting  the page has just been opened
 * connected   overviews arrive
 * lost        they do not; tried again by itself
 * paused      nobody looks at the page, so it asks for nothing
 * signed-out  Weft does not know this browser (it was started again): only a new address helps
 */
export type ConnectionState = 'connecting' | 'connected' | 'lost' | 'paused' | 'signed-out';

export type Theme = 'light' | 'dark';

/** What all parts of the page watch. */
export class PageStore {
  /** The newest; absent until the first has come. It stays when the connection is lost. */
  readonly overview = new Cell<Overview | undefined>(undefined);
  readonly connection = new Cell<ConnectionState>('connecting');
  /** As they happen. Those of before, and of times without a connection, are `api.recentEvents()`. */
  readonly events = new Channel<ObservedEvent>();
  /** How many events were left out because this page was too slow for them. */
  readonly eventsLost = new Channel<number>();
  /** Somebody may see the page. */
  readonly visible = new Cell(true);
  /** As it is shown now, whether chosen or the system's. */
  readonly theme = new Cell<Theme>('light');
  /** `PathReading.id` of the path that picture and charts let stand out. */
  readonly pointedPath = new Cell<string | undefined>(undefined);
  /** `ConnectionReading.id` of the connection that is followed. */
  readonly followed = new Cell<string | undefined>(undefined);
}
