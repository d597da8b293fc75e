/**
 * The path with the shortest round trip carries everything until it is full, then the next (as the kernel's MPTCP
 * does): for people who want the best answer times and have a second path for the rest. Pure.
 *
 * Full is a path with more than `QUEUE_LIMIT_US` waiting, by its measured capacity; unmeasured, it is never full. When
 * all are full, the one with the least waiting. So that two equal paths do not take turns by chance, another path is
 * preferred only when its round trip is shorter by a tenth and by `MARGIN_US`.
 */
import { PathQueues } from './path-queue.ts';
import { usableBits, type PathView, type Scheduler } from './scheduler.ts';

const QUEUE_LIMIT_US = 10_000;
const MARGIN_US = 1000;
const MARGIN_RATIO = 0.9;

export class LowestRttScheduler implements Scheduler {
  readonly needsFlowHash = false;
  readonly #queues = new PathQueues();
  /** Usable paths, the preferred first. BOUNDED: by the paths. */
  #order: readonly number[] = [];
  #measured = 0;
  #usable = 0;

  choose(bytes: number, _flowHash: number, nowUs: number): number {
    let best = -1;
    let bestUs = Infinity;
    for (const path of this.#order) {
      const backlogUs = (this.#measured & (1 << path)) === 0 ? 0 : this.#queues.backlogUs(path, nowUs);
      if (backlogUs <= QUEUE_LIMIT_US) {
        best = path;
        bestUs = Infinity;
        break;
      }
      if (backlogUs < bestUs) {
        bestUs = backlogUs;
        best = path;
      }
    }
    if (best < 0) return 0;
    this.#queues.add(best, bytes, nowUs);
    if (bestUs < Infinity) this.#queues.settle(this.#usable, QUEUE_LIMIT_US, nowUs);
    return 1 << best;
  }

  update(paths: readonly PathView[], nowUs: number): void {
    this.#queues.update(paths, nowUs);
    const usable = usableBits(paths);
    this.#usable = usable;
    this.#measured = 0;
    for (const [index, { capacityBps }] of paths.entries()) {
      if (capacityBps !== undefined && capacityBps > 0) this.#measured |= 1 << index;
    }
    const rttOf = (path: number) => paths[path]?.rttUs ?? Infinity;
    const order = [...paths.keys()].filter((path) => (usable & (1 << path)) !== 0);
    order.sort((a, b) => (rttOf(a) === rttOf(b) ? a - b : rttOf(a) - rttOf(b)));
    const [before] = this.#order;
    const [now] = order;
    if (before !== undefined && now !== undefined && before !== now && order.includes(before)) {
      const old = rttOf(before);
      const isBetter = rttOf(now) < old * MARGIN_RATIO && rttOf(now) < old - MARGIN_US;
      if (!isBetter && old !== Infinity) order.unshift(...order.splice(order.indexOf(before), 1));
    }
    this.#order = order;
  }
}
