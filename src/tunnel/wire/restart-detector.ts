/**
 * Recognises that the peer began to count anew (it was restarted), so that its packets are not taken for late ones.
 *
 * The original believes in a restart when a number is below the awaited one and at most 50. So one late packet can
 * reset it, and a restart whose first 51 packets are lost stalls it until the numbers catch up. Here a number behind
 * the awaited one is a restart
 *   - at once, when it is at most 50 and more than `lateSpan` behind, or
 *   - when it is the last of `RESTART_RUN` such numbers in ascending order, near to each other, with no timely packet
 *     between them, that are more than `lateSpan` behind or began at 50 or below. Late packets of a slow path are
 *     mixed with the timely ones of the others.
 *
 * A jump ahead is no restart. No allocation; one instance a connection.
 */
import { sequenceDistance } from './sequence.ts';

export const SequenceVerdict = {
  /** Awaited or later than awaited. */
  current: 0,
  /** Behind the awaited number. */
  late: 1,
  /** The peer counts anew; the next number awaited is the one after this. */
  restarted: 2,
} as const;

export type SequenceVerdict = (typeof SequenceVerdict)[keyof typeof SequenceVerdict];

/** Numbers up to here show a restart at once, as in the original. */
export const RESTART_SEQUENCE_MAX = 50;
export const RESTART_RUN = 8;

export class RestartDetector {
  readonly #lateSpan: number;
  readonly #stepSpan: number;
  #runLength = 0;
  #runFirst = 0;
  #runLast = 0;

  /**
   * `lateSpan`: packets, at least 1; take the reorder window, or what the slowest path can be behind if larger.
   * `stepSpan`: how far apart two numbers are that are near to each other.
   */
  constructor(lateSpan: number, stepSpan = lateSpan) {
    this.#lateSpan = Math.max(1, lateSpan);
    this.#stepSpan = Math.max(1, stepSpan);
  }

  /** Judges a number that arrived while `awaited` was the next one expected. */
  observe(sequence: number, awaited: number): SequenceVerdict {
    const ahead = sequenceDistance(awaited, sequence);
    if (ahead >= 0) {
      this.#runLength = 0;
      return SequenceVerdict.current;
    }
    const step = sequenceDistance(this.#runLast, sequence);
    const continues = this.#runLength > 0 && step > 0 && step <= this.#stepSpan;
    this.#runLength = continues ? this.#runLength + 1 : 1;
    if (!continues) this.#runFirst = sequence;
    this.#runLast = sequence;
    const farBehind = -ahead > this.#lateSpan;
    const early = (farBehind ? sequence : this.#runFirst) <= RESTART_SEQUENCE_MAX;
    const longRun = this.#runLength >= RESTART_RUN;
    if (farBehind ? early || longRun : early && longRun) {
      this.#runLength = 0;
      return SequenceVerdict.restarted;
    }
    return SequenceVerdict.late;
  }
}
