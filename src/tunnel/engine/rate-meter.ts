/** Bits per second from counters of bytes that only grow, looked at now and then (pure). */

/** Between two looks that count. */
export const RATE_INTERVAL_MS = 1000;

export class RateMeter {
  #atMs: number;
  #sentBytes: number;
  #receivedBytes: number;
  #sentBps = 0;
  #receivedBps = 0;

  constructor(sentBytes: number, receivedBytes: number, nowMs: number) {
    this.#atMs = nowMs;
    this.#sentBytes = sentBytes;
    this.#receivedBytes = receivedBytes;
  }

  /** Over the last interval, or a little more. */
  get sentBps(): number {
    return this.#sentBps;
  }

  get receivedBps(): number {
    return this.#receivedBps;
  }

  /** Looks that come sooner than `RATE_INTERVAL_MS` after the last one count for nothing. */
  look(sentBytes: number, receivedBytes: number, nowMs: number): void {
    const intervalMs = nowMs - this.#atMs;
    if (intervalMs < RATE_INTERVAL_MS) return;
    this.#sentBps = ((sentBytes - this.#sentBytes) * 8000) / intervalMs;
    this.#receivedBps = ((receivedBytes - this.#receivedBytes) * 8000) / intervalMs;
    this.#atMs = nowMs;
    this.#sentBytes = sentBytes;
    this.#receivedBytes = receivedBytes;
  }
}
