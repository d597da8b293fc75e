/**
 * Connections to one proxy that wait, made before they are needed, so that a tunnel costs one round trip.
 *
 *   used within the last minutes   `target` connections are kept ready, each for its lifetime
 *   not used                       those that are there grow old and go; none is made
 *   cannot be made                 the next try waits, twice as long each time; a success resets that
 *
 * Invariant: a connection is waiting here or given out, never both; one that closes while it waits is forgotten, and
 * one that says something unasked is closed.
 */
import type { Duplex } from 'node:stream';

export interface ReadyPoolOptions<Ready extends { readonly stream: Duplex }> {
  /** BOUNDED by this many waiting and as many under way. */
  readonly target: number;
  readonly lifetimeMs: number;
  /** How long after the last use connections are still made. */
  readonly keenForMs: number;
  readonly make: (signal: AbortSignal) => Promise<Ready>;
  /** Told of each try of the pool's own. */
  readonly onMade: (error: Error | undefined) => void;
}

const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 60_000;

interface Waiting<Ready> {
  readonly ready: Ready;
  readonly leave: () => void;
}

export class ReadyPool<Ready extends { readonly stream: Duplex }> {
  readonly #options: ReadyPoolOptions<Ready>;
  /** Newest last. BOUNDED by `target`. */
  readonly #waiting: Waiting<Ready>[] = [];
  readonly #stop = new AbortController();
  #making = 0;
  /** What was begun in a former one is not kept. */
  #generation = 0;
  #usedAtMs = -Infinity;
  #delayMs = 0;
  /** The latest try has succeeded. */
  #isProven = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ReadyPoolOptions<Ready>) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** The newest that waits, which is then the caller's; `undefined` when none does. Others are made meanwhile. */
  take(): Ready | undefined {
    this.#usedAtMs = performance.now();
    const taken = this.#waiting.pop();
    taken?.leave();
    this.#fill();
    return taken?.ready;
  }

  /** Begins to make connections without a use, and keeps trying while they fail. */
  warmUp(): void {
    this.#usedAtMs = performance.now();
    this.#fill();
  }

  /** The proxy was reached in another way: no reason to wait any longer. */
  noteReached(): void {
    if (this.#delayMs === 0) return;
    this.#delayMs = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#fill();
  }

  /** Drops what waits or is being made, as after a failure that concerns all connections; others are made. */
  drain(): void {
    this.#generation++;
    this.#drop();
    this.#fill();
  }

  #drop(): void {
    for (const { ready, leave } of this.#waiting.splice(0)) {
      leave();
      ready.stream.destroy();
    }
  }

  close(): void {
    this.#stop.abort(new Error('the upstream proxy is not used any more'));
    clearTimeout(this.#timer);
    this.#drop();
  }

  #fill(): void {
    const { target, keenForMs } = this.#options;
    if (this.#stop.signal.aborted || this.#timer !== undefined) return;
    if (performance.now() - this.#usedAtMs > keenForMs) return;
    // Until one has been made, one at a time: a wrong token is not tried four times at once.
    const wanted = this.#isProven ? target : 1;
    while (this.#waiting.length + this.#making < wanted) void this.#make();
  }

  async #make(): Promise<void> {
    const { make, onMade } = this.#options;
    const generation = this.#generation;
    this.#making++;
    try {
      const ready = await make(this.#stop.signal);
      this.#making--;
      this.#delayMs = 0;
      this.#isProven = true;
      if (generation === this.#generation) this.#keep(ready);
      else ready.stream.destroy();
      onMade(undefined);
      this.#fill();
    } catch (error) {
      this.#making--;
      if (this.#stop.signal.aborted) return;
      this.#isProven = false;
      // Several fail at once; one of them counts.
      if (this.#timer === undefined) {
        this.#delayMs = Math.min(Math.max(FIRST_DELAY_MS, 2 * this.#delayMs), LONGEST_DELAY_MS);
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#fill();
        }, this.#delayMs);
        this.#timer.unref();
      }
      onMade(error as Error);
    }
  }

  #keep(ready: Ready): void {
    const { stream } = ready;
    if (this.#stop.signal.aborted || stream.destroyed) {
      stream.destroy();
      return;
    }
    const end = () => stream.destroy();
    const forget = () => {
      const at = this.#waiting.findIndex((waiting) => waiting.ready === ready);
      if (at < 0) return;
      this.#waiting.splice(at, 1)[0]!.leave();
      this.#fill();
    };
    const timer = setTimeout(() => {
      end();
      forget();
    }, this.#options.lifetimeMs);
    timer.unref();
    // The other end has nothing to say before it is asked; that it has ended is read only when something reads.
    stream.on('readable', end).once('close', forget);
    const leave = () => {
      clearTimeout(timer);
      stream.off('readable', end).off('close', forget);
    };
    this.#waiting.push({ ready, leave });
  }
}
