/** The scheduler of a name. */
import type { SchedulerName } from '../config/model.ts';
import { AdaptiveScheduler } from './adaptive-scheduler.ts';
import { FlowScheduler } from './flow-scheduler.ts';
import { LowestRttScheduler } from './lowest-rtt-scheduler.ts';
import { RedundantScheduler } from './redundant-scheduler.ts';
import type { Scheduler } from './scheduler.ts';
import { WeightsScheduler } from './weights-scheduler.ts';

const MAKERS: Readonly<Record<SchedulerName, () => Scheduler>> = {
  weights: () => new WeightsScheduler(),
  adaptive: () => new AdaptiveScheduler(),
  'lowest-rtt': () => new LowestRttScheduler(),
  redundant: () => new RedundantScheduler(),
  flow: () => new FlowScheduler(),
};

/** A scheduler without paths; `update` gives it some. */
export function makeScheduler(name: SchedulerName): Scheduler {
  return MAKERS[name]();
}
