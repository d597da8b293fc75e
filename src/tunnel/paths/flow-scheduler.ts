/**
 * Each flow stays on one path, so nothing is ever reordered; many flows spread by weight, or by capacity where it is
 * measured for all. Pure.
 *
 * A flow's hash names one of `BUCKETS`, and each bucket belongs to a path by weighted rendezvous hashing: when a path
 * goes, only its flows move, and they come back with it. Small changes of the measured capacity move no flow.
 */
import { usableBits, type PathView, type Scheduler } from './scheduler.ts';

const BUCKETS = 1024;
/** Capacities count by their rounded logarithm to this base, so that noise moves no flows. */
const CAPACITY_STEP = 1.5;

/** 32 bits, well mixed (the finaliser of MurmurHash3, public domain). */
export function mix32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const rounded = (capacityBps: number) =>
  CAPACITY_STEP ** Math.round(Math.log(Math.max(1, capacityBps)) / Math.log(CAPACITY_STEP));

export class FlowScheduler implements Scheduler {
  readonly needsFlowHash = true;
  readonly #bucketPaths = new Uint8Array(BUCKETS);
  #usable = 0;
  #shares = '';

  choose(_bytes: number, flowHash: number): number {
    return this.#usable === 0 ? 0 : 1 << this.#bucketPaths[mix32(flowHash) & (BUCKETS - 1)]!;
  }

  update(paths: readonly PathView[]): void {
    const usable = usableBits(paths);
    const isMeasured = paths.every(({ isUsable, capacityBps }) => !isUsable || capacityBps !== undefined);
    const shares = paths.map(({ weight, capacityBps = 0 }) => (isMeasured ? rounded(capacityBps) : weight));
    const key = `${usable} ${shares.join(' ')}`;
    if (key === this.#shares) return;
    this.#shares = key;
    this.#usable = usable;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      let best = 0;
      let bestScore = -Infinity;
      for (const [path, share] of shares.entries()) {
        if ((usable & (1 << path)) === 0) continue;
        const uniform = (mix32(bucket * 31 + path + 1) + 1) / (2 ** 32 + 1);
        const score = share / -Math.log(uniform);
        if (score > bestScore) {
          bestScore = score;
          best = path;
        }
      }
      this.#bucketPaths[bucket] = best;
    }
  }
}
