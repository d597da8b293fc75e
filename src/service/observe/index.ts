/** Observes the host: samples, path states, history, events; and the types of all that is told of it. */
export type * from './api.ts';
export * from './model.ts';
export type { HostReading, ObserverOptions, ObserverSources } from './sources.ts';
