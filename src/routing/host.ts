/**
 * What routing decisions are made from: the host's links, addresses, routes and rules at one moment. Plain data;
 * who reads it decides when (service/host-view.ts).
 */
import type { InterfaceAddress, Link, Route, Rule } from '../netlink/index.ts';

export interface HostView {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  /** Of all tables and both families. */
  readonly routes: readonly Route[];
  readonly rules: readonly Rule[];
}

/** Which links the user wants; names, exact. */
export interface LinkChoice {
  /** Only these, and these whatever their kind. Absent or empty: every link that looks like an uplink. */
  readonly interfaces?: readonly string[];
  /** Never these. */
  readonly exclude?: readonly string[];
}
