/**
 * The scheduler of the original: the sending vector is walked entry by entry, one per packet, and the turns of a path
 * that is not usable go to the usable path that follows in the vector. Pure.
 *
 * Where the walk ends is worked out when a path's state changes (`#next`), not per packet: with weights 10000:1 the
 * original's walk past a dead path is 10,000 steps long.
 */
import { usableBits, type PathView, type Scheduler } from './scheduler.ts';
import { buildSendingVector } from './sending-vector.ts';

export class WeightsScheduler implements Scheduler {
  readonly needsFlowHash = false;
  #weights: readonly number[] = [];
  #vector: Uint8Array = new Uint8Array(0);
  /** For each position, the first one from there on whose path is usable. BOUNDED: by the vector. */
  #next = new Uint32Array(0);
  #usable = 0;
  #position = 0;

  choose(): number {
    if (this.#usable === 0) return 0;
    const at = this.#next[this.#position]!;
    this.#position = at + 1 === this.#vector.length ? 0 : at + 1;
    return 1 << this.#vector[at]!;
  }

  update(paths: readonly PathView[]): void {
    const weights = paths.map(({ weight }) => weight);
    const isNew =
      weights.length !== this.#weights.length || weights.some((weight, i) => weight !== this.#weights[i]);
    if (isNew) {
      this.#weights = weights;
      this.#vector = buildSendingVector(weights);
      this.#next = new Uint32Array(this.#vector.length);
      this.#position = 0;
    }
    const usable = usableBits(paths);
    if (usable === this.#usable && !isNew) return;
    this.#usable = usable;
    this.#fillNext();
  }

  /** From the end, twice: the first round leaves the positions behind the last usable entry to the second. */
  #fillNext(): void {
    const { length } = this.#vector;
    let next = 0;
    for (let i = 2 * length - 1; i >= 0; i--) {
      const at = i % length;
      if ((this.#usable & (1 << this.#vector[at]!)) !== 0) next = at;
      this.#next[at] = next;
    }
  }
}
