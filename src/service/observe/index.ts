/** Observes the host: samples, path states, history, events; and the types of all that is told of it. */
export type * from './api.ts';
export { ACTION_CALLS, LIVE_PATH, OBSERVE_CALLS } from './calls.ts';
export { findConnection, type ConnectionSource } from './find-connection.ts';
export type { LiveMessage } from './live-feed.ts';
export * from './model.ts';
export {
  findObserved,
  observedDaemon,
  observedUp,
  type LiveStream,
  type Observed,
} from './observed-client.ts';
export { observeKernel } from './observe-kernel.ts';
export type { Observer } from './observer.ts';
export { Observation, type ObservationOptions } from './service.ts';
export { setTunnelPath } from './tunnel-action.ts';
export { findTunnelPath, tunnelPathNames } from './tunnel-path-name.ts';
export type { HostReading, ObserverOptions, ObserverSources } from './sources.ts';
