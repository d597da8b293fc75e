/**
 * The kernel's MPTCP events as plugins see them (pure). An IPv4 address that an IPv6 socket maps becomes IPv4.
 */
import { unmapV4 } from '../../base/index.ts';
import { EventType, type MptcpEvent } from '../../mptcp/index.ts';
import type { MptcpEventName } from '../daemon-status.ts';
import type {
  ConnectionEvent,
  PathAddress,
  RemoteAddressEvent,
  SubflowClosedEvent,
  SubflowEvent,
} from '../plugin-api.ts';

/** MPTCP_PM_EV_FLAG_* in `flags`. */
const DENY_JOIN_ID0 = 1;
const SERVER_SIDE = 2;

const NAMES: ReadonlyMap<number, MptcpEventName> = new Map([
  [EventType.created, 'newConnection'],
  [EventType.established, 'connectionEstablished'],
  [EventType.closed, 'connectionClosed'],
  [EventType.announced, 'newAddress'],
  [EventType.removed, 'addressRemoved'],
  [EventType.subflowEstablished, 'newSubflow'],
  [EventType.subflowClosed, 'subflowClosed'],
  [EventType.subflowPriority, 'subflowPriority'],
  [EventType.listenerCreated, 'listenerCreated'],
  [EventType.listenerClosed, 'listenerClosed'],
]);

/** The callback that the event is for; `undefined` for an event that this program does not know. */
export function callbackOf(type: number): MptcpEventName | undefined {
  return NAMES.get(type);
}

const plain = (address: string) => (address.startsWith('::ffff:') ? unmapV4(address) : address);

export function localOf(event: MptcpEvent): PathAddress {
  return {
    address: event.sourceAddress4 ?? plain(event.sourceAddress6 ?? ''),
    port: event.sourcePort ?? 0,
  };
}

export function remoteOf(event: MptcpEvent): PathAddress {
  return {
    address: event.destinationAddress4 ?? plain(event.destinationAddress6 ?? ''),
    port: event.destinationPort ?? 0,
  };
}

export function connectionEvent(event: MptcpEvent, adopted: boolean): ConnectionEvent {
  const flags = event.flags ?? 0;
  return {
    token: event.token ?? 0,
    local: localOf(event),
    remote: remoteOf(event),
    serverSide: (flags & SERVER_SIDE) !== 0 || (event.serverSide ?? 0) !== 0,
    denyJoinId0: (flags & DENY_JOIN_ID0) !== 0,
    adopted,
  };
}

export function remoteAddressEvent(event: MptcpEvent): RemoteAddressEvent {
  const { address, port } = remoteOf(event);
  return { token: event.token ?? 0, remoteId: event.remoteId ?? 0, address, port };
}

export function subflowEvent(event: MptcpEvent, adopted: boolean): SubflowEvent {
  return {
    token: event.token ?? 0,
    local: localOf(event),
    remote: remoteOf(event),
    localId: event.localId ?? 0,
    remoteId: event.remoteId ?? 0,
    backup: (event.backup ?? 0) !== 0,
    ...(event.linkIndex === undefined ? {} : { linkIndex: event.linkIndex }),
    adopted,
  };
}

export function subflowClosedEvent(event: MptcpEvent, adopted: boolean): SubflowClosedEvent {
  return {
    ...subflowEvent(event, adopted),
    error: event.error ?? 0,
    ...(event.resetReason === undefined ? {} : { resetReason: event.resetReason }),
    ...(event.resetFlags === undefined ? {} : { resetFlags: event.resetFlags }),
  };
}

/** Both events of the same subflow: its two ends are equal. */
export function isSameSubflow(a: MptcpEvent, b: MptcpEvent): boolean {
  // Ports first, because they nearly always decide.
  if (a.sourcePort !== b.sourcePort || a.destinationPort !== b.destinationPort) return false;
  return localOf(a).address === localOf(b).address && remoteOf(a).address === remoteOf(b).address;
}

/** The argument of the event's callback. */
export function callbackArgument(event: MptcpEvent, name: MptcpEventName, adopted: boolean): object {
  switch (name) {
    case 'newConnection':
    case 'connectionEstablished':
      return connectionEvent(event, adopted);
    case 'connectionClosed':
      return { token: event.token ?? 0 };
    case 'newAddress':
      return remoteAddressEvent(event);
    case 'addressRemoved':
      return { token: event.token ?? 0, remoteId: event.remoteId ?? 0 };
    case 'newSubflow':
    case 'subflowPriority':
      return subflowEvent(event, adopted);
    case 'subflowClosed':
      return subflowClosedEvent(event, adopted);
    default:
      return { local: localOf(event) };
  }
}
