/** A plugin as the daemon's status shows it (pure). */
import type { PluginStatus } from '../daemon-status.ts';
import type { PluginRunner } from './plugin-runner.ts';

export function statusOf({ counters, plugin, reason, state, targets }: PluginRunner): PluginStatus {
  return {
    ...plugin,
    state,
    ...(reason === undefined ? {} : { reason }),
    registered: targets.map((target) => target.name),
    callbacks: { ...counters },
  };
}

/** Of a file that is no plugin, as far as could be seen. */
export function unloadable(origin: string, name: string, reason: string): PluginStatus {
  return {
    name,
    description: '',
    version: '',
    origin,
    priority: 0,
    state: 'failed',
    reason,
    registered: [],
    callbacks: { delivered: 0, failed: 0, late: 0, dropped: 0 },
  };
}
