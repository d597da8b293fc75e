/**
 * pathmanager: endpoints for paths in the kernel's own path manager, and the limits that they need. The decisions
 * are pure (endpoint-plan, limits-plan); EndpointOwner carries them out and owns what it makes. PathDaemon is the
 * path-management daemon with its plugins.
 */
export { DEFAULT_CALLBACK_BUDGET_MS, type NotifyOptions, type PathDaemonOptions } from './daemon-options.ts';
export type * from './daemon-status.ts';
export { EndpointOwner } from './endpoint-owner.ts';
export type { EndpointOwnerCounters, EndpointReport, LimitsReport } from './endpoint-owner.ts';
export type { EndpointUse, OwnedEndpoint, WantedEndpoint } from './endpoint-plan.ts';
export { neededLimits, type RaisedLimits } from './limits-plan.ts';
export { parseMetricTest, type InterfaceRule, type MetricTest } from './network/interface-rules.ts';
export { OWNS_NOTHING, type Ownership, type OwnershipJournal } from './ownership.ts';
export { PathDaemon, type InterfaceChange } from './path-daemon.ts';
export type * from './plugin-api.ts';
export {
  DEFAULT_SHIPPED_PLUGINS,
  SHIPPED_PLUGINS,
  SHIPPED_SETTINGS,
  type ShippedPlugin,
} from './shipped-plugins.ts';
export { StartError, type StartErrorCode } from './start-error.ts';
