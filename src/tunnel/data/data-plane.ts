/**
 * The main thread's face of the data plane: starts the outbound and the inbound thread, tells both of connections,
 * and hears from both. No packet passes through here, except keepalives on their way to the engine.
 *
 *   engine ── setConnection, setViews, removeConnection ──► outbound thread, inbound thread
 *   engine ◄── keepalives, datagrams that are too long, troubles ── both
 *
 * Invariant: the promise of `setConnection` and `removeConnection` resolves when neither thread uses a descriptor that
 * the call took away. When it rejects, the threads' state is unknown until `stop` has resolved. Descriptors are never
 * closed here.
 */
import { WeftError } from '../../base/index.ts';
import { EpollWorker } from '../../native/index.ts';
import { usableBits, type PathView } from '../paths/scheduler.ts';
import {
  newCounterBlock,
  type DataConnection,
  type DataPlaneOptions,
  type FromDataThread,
  type KeepaliveArrival,
  type ToDataThread,
} from './protocol.ts';

export interface DataPlaneStart {
  /** TUN device, non-blocking, attached to its link. The caller's to close, after `stop`. */
  readonly tunFd: number;
  readonly hasVirtioHeader: boolean;
  readonly hasTcpOffload: boolean;
  readonly hasUdpOffload: boolean;
  readonly onKeepalive: (arrival: KeepaliveArrival) => void;
  /** The kernel refused a datagram of `bytes` as too long for the path. At most once a second and path. */
  readonly onTooLong: (id: number, path: number, bytes: number) => void;
  /** Something works worse from now on, in words for the log. */
  readonly onTrouble: (text: string) => void;
  /** A thread's program threw; nothing goes through any more. Called at most once, never after `stop` began. */
  readonly onFailure: (error: Error) => void;
}

type DataWorker = EpollWorker<DataPlaneOptions, ToDataThread, FromDataThread>;

interface Waiting {
  /** Threads that have not answered yet. */
  left: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const THREADS = ['outbound', 'inbound'] as const;

export class DataPlane {
  readonly #handlers: DataPlaneStart;
  readonly #workers: DataWorker[] = [];
  /** BOUNDED by the calls of `setConnection` and `removeConnection` under way. */
  readonly #waiting = new Map<number, Waiting>();
  /** What the inbound thread was told last. BOUNDED by the connections. */
  readonly #usable = new Map<number, number>();
  #lastTicket = 0;
  #failure: Error | undefined;
  #stopping: Promise<void> | undefined;
  /** Layout: OutboundTotal. */
  readonly outboundTotals: Float64Array;
  /** Layout: InboundTotal. */
  readonly inboundTotals: Float64Array;

  private constructor(start: DataPlaneStart) {
    this.#handlers = start;
    this.outboundTotals = new Float64Array(newCounterBlock());
    this.inboundTotals = new Float64Array(newCounterBlock());
  }

  /**
   * Starts both threads and resolves when their loops run.
   * @throws WeftError NO_WORKER when the threads' programs are not built; whatever a thread threw at its beginning.
   *   No thread is left then.
   */
  static async start(start: DataPlaneStart): Promise<DataPlane> {
    const plane = new DataPlane(start);
    try {
      await plane.#startThreads();
    } catch (error) {
      await plane.stop();
      throw error;
    }
    return plane;
  }

  async #startThreads(): Promise<void> {
    const { tunFd, hasVirtioHeader, hasTcpOffload, hasUdpOffload } = this.#handlers;
    const options: DataPlaneOptions = {
      tunFd,
      hasVirtioHeader,
      hasTcpOffload,
      hasUdpOffload,
      outboundCounters: this.outboundTotals.buffer as SharedArrayBuffer,
      inboundCounters: this.inboundTotals.buffer as SharedArrayBuffer,
    };
    // Both say `ready` of themselves, like an answer to a message that each is sent by being started.
    await this.#ask(THREADS.length, (ticket) => {
      for (const name of THREADS) {
        const worker: DataWorker = new EpollWorker(
          name,
          options,
          (message: FromDataThread) => this.#take(message, ticket),
          (error) => this.#fail(name, error),
        );
        this.#workers.push(worker);
        void worker.ended.then(() => this.#fail(name));
      }
    });
  }

  /**
   * A new connection, or what takes the place of the one with its id: sequence numbers, packets that wait for order and
   * counters go on.
   * @returns resolves when both threads took it: descriptors that it no longer names may be closed
   * @throws WeftError DATA_PLANE_ENDED after a failure or `stop`
   */
  setConnection(connection: DataConnection): Promise<void> {
    this.#usable.set(connection.id, usableBits(connection.paths.map(({ view }) => view)));
    return this.#post((ticket) => ({ kind: 'connection', ticket, connection }));
  }

  /**
   * Forgets a connection; what waits for order goes out.
   * @returns resolves when neither thread uses its descriptors any more
   * @throws WeftError DATA_PLANE_ENDED after a failure or `stop`
   */
  removeConnection(id: number): Promise<void> {
    this.#usable.delete(id);
    return this.#post((ticket) => ({ kind: 'remove', ticket, id }));
  }

  /** Measures and states of all paths of a connection, in the order of their indexes; effective with the next packet. */
  setViews(id: number, views: readonly PathView[]): void {
    if (!this.#isRunning) return;
    const [outbound, inbound] = this.#workers;
    outbound?.post({ kind: 'views', id, views });
    // Measures change all the time; the inbound thread wants to know which paths are in use.
    const usable = usableBits(views);
    if (this.#usable.get(id) === usable) return;
    this.#usable.set(id, usable);
    inbound?.post({ kind: 'views', id, views });
  }

  /** Ends both threads; resolves when they use no descriptor any more. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  get #isRunning(): boolean {
    return this.#failure === undefined && this.#stopping === undefined;
  }

  async #stop(): Promise<void> {
    for (const worker of this.#workers) worker.post({ kind: 'stop' });
    await Promise.all(this.#workers.map(({ ended }) => ended));
    this.#rejectAll(endedError('stopped'));
  }

  #post(message: (ticket: number) => ToDataThread): Promise<void> {
    if (!this.#isRunning) return Promise.reject(endedError(this.#failure?.message ?? 'stopped'));
    return this.#ask(this.#workers.length, (ticket) => {
      for (const worker of this.#workers) worker.post(message(ticket));
    });
  }

  #ask(left: number, tell: (ticket: number) => void): Promise<void> {
    const ticket = ++this.#lastTicket;
    return new Promise((resolve, reject) => {
      this.#waiting.set(ticket, { left, resolve, reject });
      try {
        tell(ticket);
      } catch (error) {
        this.#waiting.delete(ticket);
        throw error;
      }
    });
  }

  #take(message: FromDataThread, readyTicket: number): void {
    switch (message.kind) {
      case 'ready':
        return this.#answer(readyTicket);
      case 'done':
        return this.#answer(message.ticket);
      case 'keepalive':
        return this.#isRunning ? this.#handlers.onKeepalive(message) : undefined;
      case 'too-long':
        return this.#isRunning
          ? this.#handlers.onTooLong(message.id, message.path, message.bytes)
          : undefined;
      case 'trouble':
        return this.#handlers.onTrouble(message.text);
    }
  }

  #answer(ticket: number): void {
    const waiting = this.#waiting.get(ticket);
    if (waiting === undefined || --waiting.left > 0) return;
    this.#waiting.delete(ticket);
    waiting.resolve();
  }

  /** A thread threw, or ended although nobody told it to. */
  #fail(name: string, cause?: Error): void {
    if (!this.#isRunning) return;
    const wasStarting = this.#waiting.has(1);
    this.#failure = new WeftError(
      `${name} thread of the tunnel failed: ${cause?.message ?? 'it ended by itself'}`,
      { code: 'DATA_PLANE_FAILED', cause },
    );
    this.#rejectAll(this.#failure);
    // A start that fails is told by its promise.
    if (!wasStarting) this.#handlers.onFailure(this.#failure);
  }

  #rejectAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function endedError(why: string): WeftError {
  return new WeftError(`the tunnel's data plane has ended: ${why}`, { code: 'DATA_PLANE_ENDED' });
}
