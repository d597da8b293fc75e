/**
 * How long what was given to each path keeps it busy, judged by its measured capacity (pure). Shared by the schedulers
 * that fill paths. No allocation per packet.
 */
import { firstPath, withoutFirstPath, type PathView } from './scheduler.ts';

/** Where nothing is measured yet: every path as fast as its weight, times this. Only the proportions matter. */
const UNKNOWN_BPS_PER_WEIGHT = 10_000_000;
const BITS_US = 8_000_000;

export class PathQueues {
  /** Time at which the path will have sent what it was given. */
  #busyUntilUs = new Float64Array(0);
  #usPerByte = new Float64Array(0);

  update(paths: readonly PathView[], nowUs: number): void {
    if (this.#busyUntilUs.length !== paths.length) {
      this.#busyUntilUs = new Float64Array(paths.length).fill(nowUs);
      this.#usPerByte = new Float64Array(paths.length);
    }
    const known = paths.filter(({ capacityBps }) => capacityBps !== undefined && capacityBps > 0);
    // A path without a measure stands beside measured ones in proportion to its weight.
    const knownBps = known.reduce((sum, { capacityBps = 0 }) => sum + capacityBps, 0);
    const knownWeight = known.reduce((sum, { weight }) => sum + weight, 0);
    const perWeight = knownWeight > 0 ? knownBps / knownWeight : UNKNOWN_BPS_PER_WEIGHT;
    for (const [index, { capacityBps, weight }] of paths.entries()) {
      const rateBps = capacityBps !== undefined && capacityBps > 0 ? capacityBps : perWeight * weight;
      this.#usPerByte[index] = BITS_US / rateBps;
    }
  }

  /** When a packet given to the path now would have left. */
  finishUs(path: number, bytes: number, nowUs: number): number {
    return Math.max(this.#busyUntilUs[path]!, nowUs) + bytes * this.#usPerByte[path]!;
  }

  /** What waits, in time. */
  backlogUs(path: number, nowUs: number): number {
    return Math.max(0, this.#busyUntilUs[path]! - nowUs);
  }

  add(path: number, bytes: number, nowUs: number): void {
    this.#busyUntilUs[path] = this.finishUs(path, bytes, nowUs);
  }

  /**
   * Forgets what all paths in `bits` have waiting beyond `limitUs`: what is offered above the capacity is lost on the
   * way and does not wait for ever. All are relieved of as much, so that their proportions stay.
   */
  settle(bits: number, limitUs: number, nowUs: number): void {
    let excessUs = Infinity;
    for (let rest = bits; rest !== 0; rest = withoutFirstPath(rest)) {
      excessUs = Math.min(excessUs, this.backlogUs(firstPath(rest), nowUs) - limitUs);
    }
    if (excessUs <= 0 || excessUs === Infinity) return;
    for (let rest = bits; rest !== 0; rest = withoutFirstPath(rest))
      this.#busyUntilUs[firstPath(rest)]! -= excessUs;
  }
}
