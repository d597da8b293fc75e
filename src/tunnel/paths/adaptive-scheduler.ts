/**
 * Packets go where they arrive first, by measured capacity, delay and loss: each to the path on which it would be
 * through soonest, counting what was given to the path before (earliest delivery first). Paths are filled in
 * proportion to their capacity when there is enough to send, and a slow path stays out when there is little. Pure.
 *
 * Loss makes a path slower (what is lost has to be sent again), and a path that loses more than `LOSS_LIMIT` is used
 * only when every usable one does. Capacities come from `CapacityEstimate`; until then the weights stand in.
 */
import { PathQueues } from './path-queue.ts';
import { firstPath, usableBits, withoutFirstPath, type PathView, type Scheduler } from './scheduler.ts';

/** Beyond it TCP over the path comes to nothing, and it spoils the others. */
export const LOSS_LIMIT = 0.2;

/** More than this waits on no path in truth. */
const QUEUE_LIMIT_US = 200_000;

export class AdaptiveScheduler implements Scheduler {
  readonly needsFlowHash = false;
  readonly #queues = new PathQueues();
  /** One way, as far as known. */
  #delayUs = new Float64Array(0);
  #candidates = 0;

  choose(bytes: number, _flowHash: number, nowUs: number): number {
    let best = -1;
    let bestUs = Infinity;
    for (let rest = this.#candidates; rest !== 0; rest = withoutFirstPath(rest)) {
      const path = firstPath(rest);
      const arrivalUs = this.#queues.finishUs(path, bytes, nowUs) + this.#delayUs[path]!;
      if (arrivalUs < bestUs) {
        bestUs = arrivalUs;
        best = path;
      }
    }
    if (best < 0) return 0;
    this.#queues.add(best, bytes, nowUs);
    if (this.#queues.backlogUs(best, nowUs) > QUEUE_LIMIT_US) {
      this.#queues.settle(this.#candidates, QUEUE_LIMIT_US, nowUs);
    }
    return 1 << best;
  }

  update(paths: readonly PathView[], nowUs: number): void {
    const effective = paths.map((path) => {
      const { capacityBps, lossRatio = 0, ...rest } = path;
      return capacityBps === undefined
        ? rest
        : Object.assign(rest, { capacityBps: capacityBps * (1 - Math.min(0.99, Math.max(0, lossRatio))) });
    });
    this.#queues.update(effective, nowUs);
    const usable = usableBits(paths);
    let good = 0;
    for (const [index, { lossRatio = 0 }] of paths.entries()) if (lossRatio < LOSS_LIMIT) good |= 1 << index;
    this.#candidates = (usable & good) === 0 ? usable : usable & good;
    const known = paths.flatMap(({ rttUs }) => (rttUs === undefined ? [] : [rttUs]));
    // Nobody knows of the others: as the slowest, so that they do not take everything.
    const fallback = known.length === 0 ? 0 : Math.max(...known);
    this.#delayUs = Float64Array.from(paths, ({ rttUs = fallback }) => rttUs / 2);
  }
}
