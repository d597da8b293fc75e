/**
 * The stream of overviews and events (Server-Sent Events) into the store. It is opened again when it breaks, when
 * nothing comes any more, and when somebody looks again; while nobody looks it is closed, so that a forgotten tab
 * costs neither the browser nor Weft anything. It never touches the document but for its visibility.
 */
import { OverviewPace } from './overview-pace.ts';
import type { Api } from './api.ts';
import type { ObservedEvent, Overview } from '../../service/observe/model.ts';
import type { PageStore } from './store.ts';

/** The first attempt comes soon, because Weft is mostly just being started again. */
const RETRY_MS = [300, 1000, 2000, 5000] as const;
/** Seldom: Weft counts those who come with a wrong session, and slows them. */
const SIGNED_OUT_RETRY_MS = 60_000;
/** Overviews come each half second to two seconds; more than this without one is a dead connection. */
const SILENCE_MS = 15_000;
/** So that going through tabs does not close and open it each time. */
const HIDDEN_GRACE_MS = 20_000;

export class Live {
  readonly #store: PageStore;
  readonly #api: Api;
  readonly #pace = new OverviewPace();
  #source: EventSource | undefined;
  #retryTimer = 0;
  #silenceTimer = 0;
  #hiddenTimer = 0;
  #failures = 0;

  constructor(store: PageStore, api: Api) {
    this.#store = store;
    this.#api = api;
  }

  start(): void {
    const look = () => this.#store.visible.set(document.visibilityState !== 'hidden');
    document.addEventListener('visibilitychange', look);
    // A page that comes out of the back-and-forward cache has lost its stream without a word.
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) this.#open();
    });
    window.addEventListener('focus', () => {
      if (this.#store.connection.value === 'signed-out') void this.#tryAgain();
    });
    look();
    this.#store.visible.watch((visible) => this.#visibilityChanged(visible));
  }

  /** Tries at once, whatever the state. */
  retry(): void {
    this.#failures = 0;
    this.#open();
  }

  #visibilityChanged(visible: boolean): void {
    window.clearTimeout(this.#hiddenTimer);
    if (visible) {
      if (this.#source === undefined) this.#open();
    } else {
      this.#hiddenTimer = window.setTimeout(() => this.#pause(), HIDDEN_GRACE_MS);
    }
  }

  #pause(): void {
    this.#close();
    if (this.#store.connection.value !== 'signed-out') this.#store.connection.set('paused');
  }

  #close(): void {
    window.clearTimeout(this.#retryTimer);
    window.clearTimeout(this.#silenceTimer);
    this.#source?.close();
    this.#source = undefined;
  }

  #open(): void {
    this.#close();
    const source = new EventSource('/v1/live');
    this.#source = source;
    source.addEventListener('overview', (message: MessageEvent<string>) => {
      this.#heard();
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const overview = JSON.parse(message.data) as Overview;
      if (this.#pace.takes(overview)) this.#store.overview.set(overview);
    });
    source.addEventListener('event', (message: MessageEvent<string>) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      this.#store.events.send(JSON.parse(message.data) as ObservedEvent);
    });
    source.addEventListener('lost', (message: MessageEvent<string>) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      this.#store.eventsLost.send((JSON.parse(message.data) as { count: number }).count);
    });
    source.addEventListener('error', () => this.#failed(source));
    this.#expectWords();
  }

  #heard(): void {
    this.#failures = 0;
    this.#store.connection.set('connected');
    this.#expectWords();
  }

  #expectWords(): void {
    window.clearTimeout(this.#silenceTimer);
    this.#silenceTimer = window.setTimeout(() => {
      this.#store.connection.set('lost');
      this.#open();
    }, SILENCE_MS);
  }

  /** The browser's own way of trying again is not used: it gives up for good on any answer but 200. */
  #failed(source: EventSource): void {
    if (source !== this.#source) return;
    this.#close();
    if (this.#store.connection.value !== 'signed-out') this.#store.connection.set('lost');
    const delayMs = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)]!;
    this.#retryTimer = window.setTimeout(() => void this.#tryAgain(), delayMs);
  }

  async #tryAgain(): Promise<void> {
    // An EventSource does not tell 401 from a server that is away; this does.
    const signedIn = await this.#api.isSignedIn().catch(() => undefined);
    if (this.#source !== undefined || this.#store.connection.value === 'paused') return;
    if (signedIn === false) {
      this.#store.connection.set('signed-out');
      // Another tab may sign in with the new address: the cookie is this one's too.
      this.#retryTimer = window.setTimeout(() => void this.#tryAgain(), SIGNED_OUT_RETRY_MS);
      return;
    }
    this.#open();
  }
}
