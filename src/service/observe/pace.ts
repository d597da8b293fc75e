/**
 * When the next look is due, and which looks are told: by who watches, what goes on, and what looks cost (pure but for
 * the meter). While there is something that may fall silent, looks come more often than they are told, because rates
 * over less than half a second are noise, and who is told has work of it.
 */

/** Between the beginnings of two looks. */
const WATCHED_MS = 500;
const BUSY_MS = 125;
const IDLE_MS = 2000;
/** Of the time between two looks, the look may take one part in so many; of a hurried one more, but seldom. */
const COST_PARTS = 20;
const HURRIED_COST_PARTS = 4;
const HURRIED_MIN_MS = 50;
/** Rates are of no less than this: between two looks that are told, and after a change. */
const WINDOW_MS = WATCHED_MS - BUSY_MS / 2;
const HURRIED_WINDOW_MS = 180;
/** The cost is the median of so many looks: one that the scheduler held up says nothing. */
const COSTS_KEPT = 5;

export class Pace {
  readonly #costsMs: number[] = [];
  #startMs = -Infinity;
  #endMs = -Infinity;
  #hurried = false;
  #sawHurry = false;
  /** Something may fall silent: it is looked at more often, while somebody watches. */
  busy = false;
  /** So long after the last look began there may be something to see, and who watches is to see it then. */
  awaitedMs = Infinity;

  /** Median cost of a look. */
  get costMs(): number {
    const sorted = [...this.#costsMs].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  }

  /** Between two looks. */
  intervalMs(isWatched: boolean): number {
    const wanted = isWatched ? (this.busy ? BUSY_MS : WATCHED_MS) : IDLE_MS;
    return Math.round(Math.max(wanted, this.costMs * COST_PARTS));
  }

  /** Between two looks that are told. */
  toldIntervalMs(isWatched: boolean): number {
    return Math.max(isWatched ? WATCHED_MS : IDLE_MS, this.intervalMs(isWatched));
  }

  /** Whether the look under way, or the last one, was made because something had changed. */
  get isHurriedLook(): boolean {
    return this.#sawHurry;
  }

  /** Whether the look under way ends the window that rates are of. @param sinceMs length of the window so far */
  endsWindow(sinceMs: number): boolean {
    return sinceMs >= (this.#sawHurry ? HURRIED_WINDOW_MS : WINDOW_MS);
  }

  /** Something has changed. */
  hurry(): void {
    this.#hurried = true;
  }

  /** A look begins: what has changed before is seen by it. */
  begin(): void {
    this.#sawHurry = this.#hurried;
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
    const soonestMs = this.#endMs + Math.max(HURRIED_MIN_MS, this.costMs * HURRIED_COST_PARTS);
    if (this.#hurried) return Math.min(regularMs, soonestMs);
    const awaitedMs = isWatched ? this.#startMs + this.awaitedMs : Infinity;
    return Math.min(regularMs, Math.max(soonestMs, awaitedMs));
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
