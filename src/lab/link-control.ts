/**
 * The memory that a user-space link's worker and its owner share: what the link does now, and what it has carried
 * (pure). The owner writes the settings, the worker the counters; each reads the other's at any moment.
 *
 *   0 blocked i32 (1: frames vanish) | 8 delay f64 ms, one way | 16 counters of direction 0 | 48 of direction 1
 *   counters: 0 frames | 8 bytes | 16 dropped at a fault (blocked, link down) | 24 dropped for lack of room (f64)
 *
 * Every word has one writer and is aligned, so no reader sees a torn value.
 */

const BLOCKED_AT = 0;
const DELAY_AT = 1;
const COUNTERS_AT = 2;
const COUNTERS = 4;
const DIRECTIONS = 2;

/** What went one way. A segmentation super-frame counts as one frame. */
export interface LinkCounters {
  readonly frames: number;
  readonly bytes: number;
  /** Lost because the link was cut, or because the far end was down. */
  readonly droppedByFault: number;
  /** Lost because the queue of waiting frames was full. */
  readonly droppedByQueue: number;
}

export class LinkControl {
  readonly memory: SharedArrayBuffer;
  readonly #flags: Int32Array;
  readonly #values: Float64Array;

  /** New memory, or that of the other side. */
  constructor(
    memory = new SharedArrayBuffer((COUNTERS_AT + COUNTERS * DIRECTIONS) * Float64Array.BYTES_PER_ELEMENT),
  ) {
    this.memory = memory;
    this.#flags = new Int32Array(memory);
    this.#values = new Float64Array(memory);
  }

  get blocked(): boolean {
    return Atomics.load(this.#flags, BLOCKED_AT) === 1;
  }

  set blocked(blocked: boolean) {
    Atomics.store(this.#flags, BLOCKED_AT, blocked ? 1 : 0);
  }

  /** One way. */
  get delayMs(): number {
    return this.#values[DELAY_AT]!;
  }

  set delayMs(delayMs: number) {
    this.#values[DELAY_AT] = delayMs;
  }

  counters(direction: 0 | 1): LinkCounters {
    const at = COUNTERS_AT + direction * COUNTERS;
    return {
      frames: this.#values[at]!,
      bytes: this.#values[at + 1]!,
      droppedByFault: this.#values[at + 2]!,
      droppedByQueue: this.#values[at + 3]!,
    };
  }

  countFrame(direction: number, bytes: number): void {
    const at = COUNTERS_AT + direction * COUNTERS;
    this.#values[at]! += 1;
    this.#values[at + 1]! += bytes;
  }

  countFault(direction: number): void {
    this.#values[COUNTERS_AT + direction * COUNTERS + 2]! += 1;
  }

  countFull(direction: number): void {
    this.#values[COUNTERS_AT + direction * COUNTERS + 3]! += 1;
  }
}
