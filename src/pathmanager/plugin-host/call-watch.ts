/**
 * Watches promises that callbacks returned: which rejected, and which took longer than the time budget. One timer for
 * all of them, since all have the same budget and so end in the order in which they began.
 *
 * Invariant: BOUNDED: at most `MAX_WATCHED` at once; of more than that only rejections are told.
 */
import { errorText } from '../../base/index.ts';

const MAX_WATCHED = 4096;

interface Call {
  readonly callback: string;
  readonly deadlineMs: number;
  done: boolean;
}

export interface CallWatchHandlers {
  readonly onFailed: (callback: string, error: string) => void;
  readonly onLate: (callback: string) => void;
}

export class CallWatch {
  readonly #budgetMs: number;
  readonly #handlers: CallWatchHandlers;
  readonly #calls: Call[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(budgetMs: number, handlers: CallWatchHandlers) {
    this.#budgetMs = budgetMs;
    this.#handlers = handlers;
  }

  /** How many are under way. */
  get size(): number {
    return this.#calls.length;
  }

  add(callback: string, promise: PromiseLike<unknown>): void {
    const call: Call = { callback, deadlineMs: performance.now() + this.#budgetMs, done: false };
    void this.#settle(call, promise);
    if (this.#calls.length >= MAX_WATCHED) return;
    this.#calls.push(call);
    this.#timer ??= this.#arm(this.#budgetMs);
  }

  async #settle(call: Call, promise: PromiseLike<unknown>): Promise<void> {
    let failure: string | undefined;
    try {
      await promise;
    } catch (error) {
      failure = errorText(error);
    }
    call.done = true;
    this.#dropFinished();
    if (failure !== undefined) this.#handlers.onFailed(call.callback, failure);
  }

  #arm(delayMs: number): NodeJS.Timeout {
    const timer = setTimeout(() => this.#expire(), delayMs);
    timer.unref();
    return timer;
  }

  #dropFinished(): void {
    let finished = 0;
    while (this.#calls[finished]?.done === true) finished++;
    if (finished > 0) this.#calls.splice(0, finished);
  }

  #expire(): void {
    this.#timer = undefined;
    const now = performance.now();
    while (this.#calls[0] !== undefined && (this.#calls[0].done || this.#calls[0].deadlineMs <= now)) {
      const call = this.#calls.shift()!;
      if (!call.done) this.#handlers.onLate(call.callback);
    }
    const next = this.#calls[0];
    if (next !== undefined) this.#timer = this.#arm(Math.max(1, next.deadlineMs - now));
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#calls.length = 0;
  }
}
