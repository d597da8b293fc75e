/**
 * Every packet on every usable path: nothing is lost while one of them works, and it arrives as soon as the quickest
 * allows. The receiver drops the copies (duplicate-filter). Pure.
 */
import { usableBits, type PathView, type Scheduler } from './scheduler.ts';

export class RedundantScheduler implements Scheduler {
  readonly needsFlowHash = false;
  #usable = 0;

  choose(): number {
    return this.#usable;
  }

  update(paths: readonly PathView[]): void {
    this.#usable = usableBits(paths);
  }
}
