/**
 * pathmanager: endpoints for paths in the kernel's own path manager, and the limits that they need. The decisions
 * are pure (endpoint-plan, limits-plan); EndpointOwner carries them out and owns what it makes.
 */
export { EndpointOwner } from './endpoint-owner.ts';
export type { EndpointOwnerCounters, EndpointReport, LimitsReport } from './endpoint-owner.ts';
export type { EndpointUse, OwnedEndpoint, WantedEndpoint } from './endpoint-plan.ts';
export { neededLimits, type RaisedLimits } from './limits-plan.ts';
export { OWNS_NOTHING, type Ownership, type OwnershipJournal } from './ownership.ts';
