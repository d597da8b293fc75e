/**
 * What the kernel's MPTCP path manager tells and takes. Plain data; the codec is path-manager-codec.ts.
 *
 * References: Documentation/netlink/specs/mptcp_pm.yaml, <linux/mptcp_pm.h>, RFC 8684.
 */

/** Endpoint flags (MPTCP_PM_ADDR_FLAG_*). */
export const EndpointFlag = {
  signal: 1,
  subflow: 2,
  backup: 4,
  fullmesh: 8,
  implicit: 16,
  laminar: 32,
} as const;

export type EndpointFlagName = keyof typeof EndpointFlag;

/** An endpoint as the kernel reports it. */
export interface Endpoint {
  /** Canonical text. */
  readonly address: string;
  /** 0: none. */
  readonly port: number;
  /** 1-255 (0 is the initial subflow's address and never in the list). */
  readonly id: number;
  /** EndpointFlag bits, and bits this program does not know. */
  readonly flags: number;
  /** 0: not bound to a link. */
  readonly linkIndex: number;
}

/** What to add, or to name, an endpoint with. The kernel, not Weft, judges the values. */
export interface EndpointSpec {
  /** IP address in text. Empty text is an address of no family, as `any` of ip(8), which the kernel refuses. */
  readonly address?: string;
  readonly port?: number;
  readonly id?: number;
  readonly flags?: number;
  readonly linkIndex?: number;
}

export interface Limits {
  /** How many addresses announced by peers a connection uses. */
  readonly addAddrAccepted: number;
  /** How many subflows a connection has beside its first. */
  readonly subflows: number;
}

/** MPTCP_EVENT_*: the numbers the kernel sends. */
export const EventType = {
  created: 1,
  established: 2,
  closed: 3,
  announced: 6,
  removed: 7,
  subflowEstablished: 10,
  subflowClosed: 11,
  subflowPriority: 13,
  listenerCreated: 15,
  listenerClosed: 16,
} as const;

/** One event; fields are present exactly when the kernel sent them. */
export interface MptcpEvent {
  /** EventType, or a number this program does not know. */
  readonly type: number;
  /** The connection's local token. */
  readonly token?: number;
  readonly family?: number;
  readonly localId?: number;
  readonly remoteId?: number;
  readonly sourceAddress4?: string;
  readonly sourceAddress6?: string;
  readonly destinationAddress4?: string;
  readonly destinationAddress6?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly backup?: number;
  /** errno */
  readonly error?: number;
  /** 1 deny_join_id0, 2 server_side */
  readonly flags?: number;
  readonly timeout?: number;
  readonly linkIndex?: number;
  readonly resetReason?: number;
  readonly resetFlags?: number;
  readonly serverSide?: number;
}
