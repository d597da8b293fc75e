/**
 * The one timer of a tunnel: wakes it when the earliest thing is due, and once a second at the latest. Not here: what is
 * due, and what is done then (core.ts).
 *
 * Invariant: a process that stood still takes note of what came in meanwhile before any time-out counts.
 */
import { monotonicMs } from '../../native/index.ts';

/** The longest that nothing is looked at: rates, public addresses. */
const HOUSEKEEPING_MS = 1000;
/** A timer that is so late shows that the process was stopped for a while. */
const STALL_MS = 100;

export interface EngineTimerOptions {
  /** When something is due, in `monotonicMs`; Infinity: nothing is. Undefined: the timer is not to run. */
  readonly nextMs: () => number | undefined;
  readonly onDue: (nowMs: number) => void;
}

export class EngineTimer {
  readonly #options: EngineTimerOptions;
  #timer: NodeJS.Timeout | undefined;
  #atMs = Infinity;
  #isScheduling = false;
  #wasLate = false;

  constructor(options: EngineTimerOptions) {
    this.#options = options;
  }

  /** Something may be due earlier than was thought. */
  schedule(): void {
    if (this.#isScheduling) return;
    this.#isScheduling = true;
    setImmediate(() => {
      this.#isScheduling = false;
      this.#set();
    });
  }

  /** Until the next `schedule` or `tick`. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#atMs = Infinity;
  }

  /** Does what is due and sets the timer for the next. */
  tick(): void {
    const nowMs = monotonicMs();
    const lateMs = nowMs - this.#atMs;
    // One that was set meanwhile would go on beside this one.
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#atMs = Infinity;
    // Once: where it is always late, nothing would be sent any more.
    this.#wasLate = lateMs > STALL_MS && !this.#wasLate;
    if (this.#wasLate) {
      // This process stood still. What came in meanwhile is taken note of first, or paths would look dead.
      setImmediate(() => this.#set());
      return;
    }
    this.#options.onDue(nowMs);
    this.#set();
  }

  #set(): void {
    const nowMs = monotonicMs();
    const wantedMs = this.#options.nextMs();
    if (wantedMs === undefined) return;
    const nextMs = Math.max(nowMs, Math.min(nowMs + HOUSEKEEPING_MS, wantedMs));
    if (this.#timer !== undefined && this.#atMs <= nextMs) return;
    clearTimeout(this.#timer);
    this.#atMs = nextMs;
    this.#timer = setTimeout(() => this.tick(), Math.max(1, Math.ceil(nextMs - nowMs)));
  }
}
