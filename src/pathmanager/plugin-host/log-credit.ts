/**
 * How many log lines a plugin's thread may send: a number a second, and a number that the daemon has not handled yet.
 * What goes beyond that never leaves the thread; it is counted, in memory that both threads share.
 *
 * Not a defence against a plugin that writes to the port itself; those are ended (worker-runner.ts).
 */

export const LINES_PER_SECOND = 1000;
export const MAX_UNHANDLED_LINES = 1000;

/** Places in the shared memory: lines handled (wrapping around), lines dropped since it was last told. */
const HANDLED = 0;
const DROPPED = 1;

export const newLogMemory = () => new SharedArrayBuffer(8);

/** The thread's side. */
export class LogCredit {
  readonly #shared: Int32Array;
  #sent = 0;
  #secondBeganMs = Number.NEGATIVE_INFINITY;
  #inSecond = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#shared = new Int32Array(memory);
  }

  /** Whether a line may be sent; `'first'`: it may not, and the daemon has to be told that lines are being dropped. */
  take(nowMs: number): boolean | 'first' {
    if (nowMs - this.#secondBeganMs >= 1000) {
      this.#secondBeganMs = nowMs;
      this.#inSecond = 0;
    }
    const unhandled = (this.#sent - Atomics.load(this.#shared, HANDLED)) | 0;
    if (this.#inSecond >= LINES_PER_SECOND || unhandled >= MAX_UNHANDLED_LINES) {
      return Atomics.add(this.#shared, DROPPED, 1) === 0 ? 'first' : false;
    }
    this.#inSecond++;
    this.#sent = (this.#sent + 1) | 0;
    return true;
  }
}

/** The daemon's side. */
export class LogAccount {
  readonly memory = newLogMemory();
  readonly #shared = new Int32Array(this.memory);

  handled(): void {
    Atomics.add(this.#shared, HANDLED, 1);
  }

  /** How many were dropped since the last call. */
  takeDropped(): number {
    return Atomics.exchange(this.#shared, DROPPED, 0) >>> 0;
  }
}
