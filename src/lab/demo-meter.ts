/**
 * What the demo measures (pure): rates over the last moment, and the longest time without data. Time is an
 * argument, in milliseconds.
 */

/** The rate of a counter that only grows. BOUNDED: samples of one window, at most 64. */
export class RateMeter {
  readonly #windowMs: number;
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  add(atMs: number, bytes: number): void {
    this.#samples.push({ atMs, bytes });
    // One sample from before the window stays, so that the window is always covered.
    while (this.#samples.length > 64 || (this.#samples[1]?.atMs ?? Infinity) <= atMs - this.#windowMs) {
      this.#samples.shift();
    }
  }

  /** Bits per second between the oldest and the newest sample; 0 before there are two. */
  get rateBps(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    return ((last.bytes - first.bytes) * 8000) / (last.atMs - first.atMs);
  }
}

/** The longest pause between pieces of data since `begin`. */
export class PauseMeter {
  #lastMs: number | undefined;
  #longestMs = 0;

  /** Starts anew; what came before counts as data at this moment. */
  begin(atMs: number): void {
    this.#lastMs = atMs;
    this.#longestMs = 0;
  }

  data(atMs: number): void {
    this.#longestMs = this.longestMs(atMs);
    this.#lastMs = atMs;
  }

  /** Counts the pause that lasts at this moment too. */
  longestMs(nowMs: number): number {
    return this.#lastMs === undefined ? 0 : Math.max(this.#longestMs, nowMs - this.#lastMs);
  }
}
