/**
 * What is looked up, beside the host's own facts, to explain one connection: the ways to its other end, what the
 * kernel says of it and of others to the same place, and what happened to it. Plain data, collected by collect-peer.ts.
 */
import type { ObservedEvent } from '../observe/model.ts';
import type { LookupFact } from './facts.ts';

/** From mptcp_info; a field that this kernel does not tell is absent. */
export interface KernelConnection {
  /** Plain TCP is on the wire. */
  readonly fallback: boolean;
  /** The other end's key came: it spoke MPTCP when the connection began. */
  readonly remoteKeyReceived?: boolean;
  /** Beside the first, those under way included. */
  readonly subflows?: number;
  readonly subflowsMax?: number;
  readonly addressesAccepted?: number;
  readonly addressesAcceptedMax?: number;
  readonly bytesAcked?: number;
  readonly bytesReceived?: number;
}

export interface PeerFacts {
  /** Canonical; an IPv4 address is never in its IPv6 form. */
  readonly address: string;
  readonly port: number;
  /** To it, from each usable path of its family and each endpoint's address. */
  readonly lookups: readonly LookupFact[];
  /** Absent: no such connection in the kernel (any more), or one that is not MPTCP's. */
  readonly kernel?: KernelConnection;
  /** Local addresses from which other connections to the same address and port speak MPTCP now. */
  readonly speaksMptcpFrom: readonly string[];
  /** The kernel's events of this connection, oldest first. BOUNDED: `PEER_EVENTS_MAX`. */
  readonly events: readonly ObservedEvent[];
}

export const PEER_EVENTS_MAX = 64;
