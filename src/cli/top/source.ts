/**
 * Where `weft top` has its readings from: the running Weft or the daemon, or, where neither can be asked, the kernel
 * itself by an observer of its own.
 */
import { errorText, WeftError } from '../../base/index.ts';
import {
  findObserved,
  observeKernel,
  type ConnectionDetail,
  type ConnectionPage,
  type ConnectionQuery,
  type Observed,
  type ObservedEvent,
  type Observer,
  type Overview,
} from '../../service/index.ts';
import { packageVersion } from '../version.ts';

/** Two looks that are closer together tell no rates. */
const RATES_AFTER_MS = 200;

export interface Readings {
  readonly overview: (overview: Overview) => void;
  readonly event: (event: ObservedEvent) => void;
  /** So many events were lost on the way. */
  readonly lost: (count: number) => void;
}

export interface TopSource {
  readonly kind: 'up' | 'daemon' | 'kernel';
  /** As sentences name it. */
  readonly name: string;
  /** What is to be known of it. */
  readonly note?: string;
  /** With rates, so it may take a second. */
  overview(): Promise<Overview>;
  connections(query: ConnectionQuery): Promise<ConnectionPage>;
  /** `undefined`: it has ended. */
  connection(id: string): Promise<ConnectionDetail | undefined>;
  recentEvents(): Promise<readonly ObservedEvent[]>;
  /** Tells until the signal comes, or until the source ends. */
  follow(readings: Readings, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

function unlessGone(error: unknown): undefined {
  if (error instanceof WeftError && error.code === 'NO_SUCH_CONNECTION') return undefined;
  throw error;
}

class SocketSource implements TopSource {
  readonly #observed: Observed;
  readonly kind: 'up' | 'daemon';
  readonly name: string;

  constructor(observed: Observed) {
    this.#observed = observed;
    this.kind = observed.program;
    this.name = observed.name;
  }

  overview(): Promise<Overview> {
    return this.#observed.overview();
  }

  connections(query: ConnectionQuery): Promise<ConnectionPage> {
    return this.#observed.connections(query);
  }

  connection(id: string): Promise<ConnectionDetail | undefined> {
    return this.#observed.connection({ id }).catch(unlessGone);
  }

  async recentEvents(): Promise<readonly ObservedEvent[]> {
    return (await this.#observed.recentEvents()).events;
  }

  async follow(readings: Readings, signal: AbortSignal): Promise<void> {
    const stream = await this.#observed.live();
    const close = () => stream.close();
    signal.addEventListener('abort', close);
    try {
      if (signal.aborted) return;
      for await (const message of stream.messages()) {
        if (message.event === 'overview') readings.overview(message.data);
        else if (message.event === 'event') readings.event(message.data);
        else readings.lost(message.data.count);
      }
    } finally {
      signal.removeEventListener('abort', close);
      stream.close();
    }
  }

  async close(): Promise<void> {}
}

class KernelSource implements TopSource {
  readonly kind = 'kernel';
  readonly name = 'the kernel';
  readonly note: string;
  readonly #observer: Observer;

  constructor(observer: Observer, note: string) {
    this.#observer = observer;
    this.note = note;
  }

  /** After another look: from there on rates are known. */
  overview(): Promise<Overview> {
    const first = this.#observer.overview();
    return new Promise((resolve) => {
      const stop = this.#observer.onSample(() => {
        const overview = this.#observer.overview();
        if (overview.time - first.time < RATES_AFTER_MS) return;
        stop();
        resolve(overview);
      });
    });
  }

  async connections(query: ConnectionQuery): Promise<ConnectionPage> {
    return this.#observer.connections(query);
  }

  async connection(id: string): Promise<ConnectionDetail | undefined> {
    try {
      return this.#observer.connection(id);
    } catch (error) {
      return unlessGone(error);
    }
  }

  async recentEvents(): Promise<readonly ObservedEvent[]> {
    return this.#observer.recentEvents().events;
  }

  async follow(readings: Readings, signal: AbortSignal): Promise<void> {
    const stops = [
      this.#observer.onSample(() => readings.overview(this.#observer.overview())),
      this.#observer.watch((event) => readings.event(event)),
    ];
    readings.overview(this.#observer.overview());
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    for (const stop of stops) stop();
  }

  close(): Promise<void> {
    return this.#observer.stop();
  }
}

async function openKernelSource(note: string): Promise<TopSource> {
  return new KernelSource(await observeKernel({ version: packageVersion() }), note);
}

/** A process that looks. @throws WeftError `NOT_RUNNING` and others */
export async function findRunning(): Promise<TopSource> {
  return new SocketSource(await findObserved());
}

/** What is to be known of a reading when nobody could be asked. */
function noteOf(error: WeftError): string {
  if (error.code !== 'NOT_RUNNING') return `this is read from the kernel: ${errorText(error)}`;
  const whom = process.getuid?.() === 0 ? 'here' : 'here for this user';
  return `neither Weft nor the daemon runs ${whom}: this is read from the kernel`;
}

/** The running Weft, the daemon, or else the kernel. */
export async function openSource(): Promise<TopSource> {
  try {
    return await findRunning();
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return openKernelSource(noteOf(error));
  }
}
