/** When the next look is due: by who watches, what is suspected, and what looks cost (pure but for the meter). */

/** Between the beginnings of two looks. */
const WATCHED_MS = 500;
const SUSPICIOUS_MS = 200;
const IDLE_MS = 2000;
/** Of the time between two looks, the look may take one part in so many; of a hurried one more, but seldom. */
const COST_PARTS = 20;
const HURRIED_COST_PARTS = 4;
const HURRIED_MIN_MS = 50;
/** The cost is the median of so many looks: one that the scheduler held up says nothing. */
const COSTS_KEPT = 5;

export class Pace {
  readonly #costsMs: number[] = [];
  #startMs = -Infinity;
  #endMs = -Infinity;
  #hurried = false;
  /** Something may have gone silent: it is looked at sooner, while somebody watches. */
  suspicious = false;

  /** Median cost of a look. */
  get costMs(): number {
    const sorted = [...this.#costsMs].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  }

  intervalMs(isWatched: boolean): number {
    const wanted = isWatched ? (this.suspicious ? SUSPICIOUS_MS : WATCHED_MS) : IDLE_MS;
    return Math.round(Math.max(wanted, this.costMs * COST_PARTS));
  }

  /** Something has changed. */
  hurry(): void {
    this.#hurried = true;
  }

  /** A look begins: what has changed before is seen by it. */
  begin(): void {
    this.#hurried = false;
  }

  /** @param costMs processor time that it took */
  handleLook(startMs: number, endMs: number, costMs: number): void {
    this.#startMs = startMs;
    this.#endMs = endMs;
    this.#costsMs.push(costMs);
    while (this.#costsMs.length > COSTS_KEPT) this.#costsMs.shift();
  }

  dueMs(isWatched: boolean): number {
    const regularMs = this.#startMs + this.intervalMs(isWatched);
    if (!this.#hurried) return regularMs;
    return Math.min(regularMs, this.#endMs + Math.max(HURRIED_MIN_MS, this.costMs * HURRIED_COST_PARTS));
  }
}

/**
 * Measures what a look costs: its parts, and of each no more than the processor time of this process meanwhile, because
 * on a busy machine most of the time that passes is others'.
 */
export class CostMeter {
  #costMs = 0;

  run<T>(work: () => T): T {
    const startMs = performance.now();
    const before = process.cpuUsage();
    try {
      return work();
    } finally {
      const { system, user } = process.cpuUsage(before);
      this.#costMs += Math.min(performance.now() - startMs, (user + system) / 1000);
    }
  }

  /** Milliseconds since the last call. */
  take(): number {
    const costMs = this.#costMs;
    this.#costMs = 0;
    return costMs;
  }
}
