/**
 * netlink: attribute and message codecs, connections, generic families, rtnetlink and socket diagnostics.
 * Codecs are pure; RouteNetlink, SocketDiag and the watchers do the I/O through native.
 */
export type { AddressSpec } from './address.ts';
export {
  Attributes,
  findU32,
  parseAttributes,
  PayloadWriter,
  u16At,
  u32At,
  visitAttributes,
} from './attributes.ts';
export { NETLINK_GENERIC, NetlinkConnection, type NetlinkSocketOptions } from './connection.ts';
export { DiagView } from './diag-view.ts';
export { NetlinkError } from './errors.ts';
export { EventSocket, type EventHandlers, type Group } from './event-socket.ts';
export { findFamily, GENL_HEADER_BYTES, genericPayload, type GenericFamily } from './generic.ts';
export { readHostAddresses, type HostAddress } from './host-addresses.ts';
export type { LinkChange, LinkSpec } from './link.ts';
export * from './message.ts';
export { NfTables, type NfTablesOptions } from './nf-tables.ts';
export * from './nf-tables-types.ts';
export type { TokenBucket } from './qdisc.ts';
export {
  formatRoute,
  RouteNetlink,
  watchRoutes,
  type RouteSubject,
  type RouteWatchOptions,
} from './route-netlink.ts';
export { routeSpecOf, type RouteFilter, type RouteQuery, type RouteSpec } from './route.ts';
export * from './route-types.ts';
export { SocketDiag } from './sock-diag.ts';
export {
  STATES_ALL,
  STATES_CONNECTED,
  SubflowFlag,
  type DiagSocket,
  type DiagSubflow,
  type SocketPair,
  type SubflowUlp,
} from './sock-diag-codec.ts';
export type { RuleSpec } from './rule.ts';
