/**
 * The main thread's end of one relay thread: hands tunnels over, reads their byte counts from shared memory,
 * hears of their end.
 *
 * Invariant: `onClosed` is called exactly once for each tunnel that `open` took, also when the thread fails; its
 * descriptors are closed then.
 */
import { closeFd, EpollWorker } from '../../native/index.ts';
import {
  type CloseReason,
  type FromRelay,
  type RelayOptions,
  type ToRelay,
  TunnelCounters,
} from './protocol.ts';

export interface RelayedTunnel {
  readonly id: number;
  readonly clientFd: number;
  readonly upstreamFd: number;
  readonly splice: boolean;
  readonly toUpstream: Uint8Array | undefined;
  readonly toClient?: Uint8Array;
}

export interface TunnelEnd {
  readonly id: number;
  readonly reason: CloseReason | 'relay-failed';
  readonly errno: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export interface RelayThreadHandlers {
  readonly onClosed: (end: TunnelEnd) => void;
  /** The thread's program threw. Called once, before the `onClosed` of what it carried. */
  readonly onFailure: (error: Error) => void;
}

interface Carried {
  readonly counterSlot: number;
  readonly clientFd: number;
  readonly upstreamFd: number;
}

export class RelayThread {
  readonly #handlers: RelayThreadHandlers;
  readonly #worker: EpollWorker<RelayOptions, readonly ToRelay[], FromRelay>;
  readonly #counters = new TunnelCounters();
  /** BOUNDED by the proxy's limit of tunnels. */
  readonly #carried = new Map<number, Carried>();
  readonly #freeSlots: number[] = [];
  #usedSlots = 0;
  /** BOUNDED: what one turn of the event loop says; sent together, because each wake-up of the thread costs. */
  #outbox: ToRelay[] = [];
  /** Resolves when the loop runs; rejects when the program fails before. */
  readonly ready: Promise<void>;
  #settleReady: (error?: Error) => void = () => {};

  /** @throws WeftError NO_WORKER when the thread's program was not built */
  constructor(options: RelayOptions, handlers: RelayThreadHandlers) {
    this.#handlers = handlers;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = (error) => (error === undefined ? resolve() : reject(error));
    });
    // A failure is also told by onFailure; nobody has to wait for this.
    this.ready.catch(() => {});
    this.#worker = new EpollWorker(
      'relay',
      options,
      (message) => {
        if (message.kind === 'ready') this.#settleReady();
        else for (const { id, reason, errno } of message.tunnels) this.#end(id, reason, errno);
      },
      (error) => {
        this.#settleReady(error);
        void this.#handleFailure(error);
      },
    );
  }

  /** Takes both descriptors over, for good. */
  open(tunnel: RelayedTunnel): void {
    const counterSlot = this.#takeSlot();
    const { id, clientFd, upstreamFd } = tunnel;
    this.#carried.set(id, { counterSlot, clientFd, upstreamFd });
    this.#send({ kind: 'open', counterSlot, ...tunnel });
  }

  /** Resets both connections of the tunnel. */
  abort(id: number): void {
    if (this.#carried.has(id)) this.#send({ kind: 'abort', id });
  }

  /** Bytes from and to the client so far. */
  bytesOf(id: number): { readonly up: number; readonly down: number } {
    const slot = this.#carried.get(id)?.counterSlot;
    if (slot === undefined) return { up: 0, down: 0 };
    return { up: this.#counters.up(slot), down: this.#counters.down(slot) };
  }

  /** Resets every tunnel; resolves when the thread has ended and all it had is closed. */
  async stop(): Promise<void> {
    this.#send({ kind: 'stop' });
    await this.#worker.ended;
  }

  #send(message: ToRelay): void {
    this.#outbox.push(message);
    if (this.#outbox.length > 1) return;
    setImmediate(() => {
      const messages = this.#outbox;
      this.#outbox = [];
      this.#worker.post(messages);
    });
  }

  #takeSlot(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    if (this.#usedSlots === this.#counters.capacity) {
      const block = TunnelCounters.newBlock();
      this.#counters.addBlock(block);
      this.#send({ kind: 'counters', block });
    }
    return this.#usedSlots++;
  }

  #end(id: number, reason: TunnelEnd['reason'], errno: number): void {
    const carried = this.#carried.get(id);
    if (carried === undefined) return;
    const bytes = this.bytesOf(id);
    this.#carried.delete(id);
    this.#counters.set(carried.counterSlot, 0, 0);
    this.#freeSlots.push(carried.counterSlot);
    this.#handlers.onClosed({ id, reason, errno, bytesUp: bytes.up, bytesDown: bytes.down });
  }

  /** What the thread had taken it has closed and reported by the time it ends; the rest is closed here. */
  async #handleFailure(error: Error): Promise<void> {
    this.#handlers.onFailure(error);
    await this.#worker.ended;
    for (const [id, { clientFd, upstreamFd }] of this.#carried) {
      closeFd(clientFd);
      closeFd(upstreamFd);
      this.#end(id, 'relay-failed', 0);
    }
  }
}
