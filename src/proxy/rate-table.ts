/**
 * Token buckets by key (pure: time comes as an argument): how often each client may do something.
 *
 * Invariant: a key that has not been seen lately costs nothing; a table that is full forgets the key that was used
 * longest ago, whose bucket is the fullest of them most likely.
 */

export interface RateTableOptions {
  /** How many at once, from rest. */
  readonly burst: number;
  readonly perSecond: number;
  readonly maxKeys: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

export class RateTable {
  readonly #options: RateTableOptions;
  /** BOUNDED by `maxKeys`; in the order of their latest use. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RateTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one; 0, or how long to wait for one, in milliseconds. Nothing is taken then. */
  take(key: string, nowMs: number): number {
    const waitMs = this.waitMs(key, nowMs);
    if (waitMs > 0) return waitMs;
    this.spend(key, nowMs);
    return 0;
  }

  /** 0, or how long until there is one. */
  waitMs(key: string, nowMs: number): number {
    const tokens = this.#tokens(key, nowMs);
    const waitMs = ((1 - tokens) / this.#options.perSecond) * 1000;
    // A remainder of the arithmetic is not to cost a millisecond.
    return Math.max(0, Math.ceil(waitMs - 1e-6));
  }

  /** Takes one, also where there is none: the bucket stays empty then. */
  spend(key: string, nowMs: number): void {
    const tokens = Math.max(0, this.#tokens(key, nowMs) - 1);
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens, atMs: nowMs });
    if (this.#buckets.size <= this.#options.maxKeys) return;
    for (const oldest of this.#buckets.keys()) {
      this.#buckets.delete(oldest);
      return;
    }
  }

  #tokens(key: string, nowMs: number): number {
    const { burst, perSecond } = this.#options;
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return burst;
    const tokens = bucket.tokens + (Math.max(0, nowMs - bucket.atMs) / 1000) * perSecond;
    if (tokens < burst) return tokens;
    this.#buckets.delete(key);
    return burst;
  }
}
