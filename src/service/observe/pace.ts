/** When the next look is due (pure): by who watches, what is suspected, and what looks cost. */

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

  handleLook(startMs: number, endMs: number): void {
    this.#startMs = startMs;
    this.#endMs = endMs;
    this.#hurried = false;
    this.#costsMs.push(endMs - startMs);
    while (this.#costsMs.length > COSTS_KEPT) this.#costsMs.shift();
  }

  dueMs(isWatched: boolean): number {
    const regularMs = this.#startMs + this.intervalMs(isWatched);
    if (!this.#hurried) return regularMs;
    return Math.min(regularMs, this.#endMs + Math.max(HURRIED_MIN_MS, this.costMs * HURRIED_COST_PARTS));
  }
}
