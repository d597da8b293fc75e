/**
 * routing: which paths a host has, and one routing table and rule for each. The decisions are pure (paths,
 * wanted, plan); RoutingTables carries them out and owns what it makes.
 */
export type { DefaultRoute } from './default-route.ts';
export type { HostView, LinkChoice } from './host.ts';
export { tunnelOfDefaultTraffic } from './links.ts';
export { isOwnRoute, isOwnRule } from './numbers.ts';
export { findPaths, uplinkCount } from './paths.ts';
export type { HostPath, HostPaths, IgnoredLink, PathCause, PathState } from './paths.ts';
export { planRouting, type RoutingOperation } from './plan.ts';
export { RoutingTables, type RoutingFailure, type RoutingResult } from './routing-tables.ts';
export type { TableUse } from './path-tables.ts';
export { wantedRouting, type WantedRouting } from './wanted.ts';
