/**
 * What the host sees of a plugin, wherever it runs: in this thread (local-runner.ts) or in one of its own
 * (worker-runner.ts).
 */
import type { PluginCounters, PluginState } from '../daemon-status.ts';
import type { DispatchTarget } from './dispatcher.ts';

export interface PluginDescription {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  readonly priority: number;
  /** `shipped`, or the file. */
  readonly origin: string;
}

export type PluginTrouble = 'load' | 'init' | 'threw' | 'late' | 'ended' | 'behind';

export interface RunnerHandlers {
  /** What it registered has changed. */
  readonly onTargets: () => void;
  readonly onTrouble: (trouble: PluginTrouble, message: string, callback?: string) => void;
  /** It has ended without being stopped, or was ended because it hung; it is told nothing more. */
  readonly onEnded: () => void;
}

export interface PluginRunner {
  readonly plugin: PluginDescription;
  readonly state: PluginState;
  readonly reason: string | undefined;
  /** What it registered, in that order. */
  readonly targets: readonly DispatchTarget[];
  readonly counters: PluginCounters;
  /** Resolves when its init has ended, well or not; never rejects. */
  init(): Promise<void>;
  /** Resolves when its exit has ended; never rejects. */
  stop(): Promise<void>;
}

export interface MutableCounters {
  delivered: number;
  failed: number;
  late: number;
  dropped: number;
}

export const newCounters = (): MutableCounters => ({ delivered: 0, failed: 0, late: 0, dropped: 0 });

/** Rejects or resolves as `work` does; `'late'` when that takes longer than the budget. */
export async function withinBudget(work: Promise<void>, budgetMs: number): Promise<'late' | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), budgetMs);
  });
  try {
    return await Promise.race([work.then(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** `5 s`, `250 ms` */
export function budgetText(budgetMs: number): string {
  return budgetMs % 1000 === 0 ? `${budgetMs / 1000} s` : `${budgetMs} ms`;
}
