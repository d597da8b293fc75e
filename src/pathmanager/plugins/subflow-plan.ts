/**
 * What the shipped userspace plugins agree on (pure types): the state of one connection, and the plan that a plugin
 * has for it. A plugin is a `Planner`, which says what should be; SubflowKeeper finds out what to do.
 *
 * Invariant: a planner is a function of its arguments, so that it can be asked again after every event.
 */
import { isIpv6 } from '../../base/index.ts';
import type { PathAddress } from '../plugin-api.ts';

/** An address of this host, on a link that is up. */
export interface LocalAddress {
  readonly address: string;
  readonly linkIndex: number;
  readonly linkName: string;
  /** New subflows may begin here; otherwise it is only known whose it is. */
  readonly usable: boolean;
}

/** A subflow that stands. */
export interface LiveSubflow {
  readonly local: PathAddress;
  readonly remote: PathAddress;
  readonly localId: number;
  readonly remoteId: number;
  /** Bound to this link; absent when the routing table decides. */
  readonly linkIndex?: number;
}

/** An address that the peer announced. */
export interface PeerAddress extends PathAddress {
  readonly id: number;
}

/** Whose a connection's socket is, as far as the kernel tells. */
export interface SocketOwner {
  readonly uid?: number;
  readonly cgroup?: string;
}

export interface ConnectionState {
  readonly token: number;
  /** Of the first subflow. */
  readonly local: PathAddress;
  readonly remote: PathAddress;
  readonly serverSide: boolean;
  readonly denyJoinId0: boolean;
  readonly owner?: SocketOwner;
  readonly peerAddresses: readonly PeerAddress[];
  /** Those that stand, oldest first. */
  readonly subflows: readonly LiveSubflow[];
}

/** Subflows between one pair of addresses. */
export interface WantedSubflows {
  readonly local: LocalAddress;
  readonly remote: PathAddress;
  /** 0 for the address that the connection began with. */
  readonly remoteId: number;
  /** How many, those that stand already included. */
  readonly count: number;
  readonly backup: boolean;
}

export interface SubflowPlan {
  /** Most important first; each pair once. */
  readonly wanted: readonly WantedSubflows[];
  /** Subflows of the connection in all, above which none is made. */
  readonly maximum: number;
  /** Those that end are made anew. */
  readonly reestablish: boolean;
  /** Local addresses that the peer is to know. */
  readonly announced: readonly string[];
  /** Subflows that are not to be, each with the reason; one that would be the last is left. */
  readonly refused: ReadonlyMap<LiveSubflow, string>;
  /** What this end asks for of subflows that stand; those that are missing are left as they are. */
  readonly backups: ReadonlyMap<LiveSubflow, boolean>;
}

/** `undefined`: the connection is left alone. */
export type Planner = (
  connection: ConnectionState,
  locals: readonly LocalAddress[],
) => SubflowPlan | undefined;

/** A plan in which everything may stay as it is. */
export const IDLE_PLAN: SubflowPlan = {
  wanted: [],
  maximum: 0,
  reestablish: false,
  announced: [],
  refused: new Map(),
  backups: new Map(),
};

const sameFamily = (a: string, b: string) => isIpv6(a) === isIpv6(b);

/** The addresses of the peer that subflows may go to, the connection's own first. */
export function peersOf(connection: ConnectionState): PeerAddress[] {
  // A client does not listen where it connected from: from the server's side only what it announced can be reached.
  const first = connection.denyJoinId0 || connection.serverSide ? [] : [{ ...connection.remote, id: 0 }];
  const peers: PeerAddress[] = [...first];
  for (const peer of connection.peerAddresses) {
    const known = peers.some((other) => other.address === peer.address && other.port === peer.port);
    if (!known) peers.push(peer);
  }
  return peers;
}

/**
 * Every one of `locals` with every address of the peer that has the same family. When not all of them fit into the
 * maximum, those to the peer's first address come first, so that every local address is used before one is used twice.
 */
export function meshOf(
  connection: ConnectionState,
  locals: readonly LocalAddress[],
  choice: { readonly count: number; readonly backup: (local: LocalAddress) => boolean },
): WantedSubflows[] {
  return peersOf(connection).flatMap((peer) =>
    locals
      .filter((local) => local.usable && sameFamily(local.address, peer.address))
      .map((local) => ({
        local,
        remote: { address: peer.address, port: peer.port },
        remoteId: peer.id,
        count: choice.count,
        backup: choice.backup(local),
      })),
  );
}

/** Where a subflow leaves this host: the link that it is bound to, or the one that has its address. */
export function linkOf(
  subflow: LiveSubflow,
  locals: readonly LocalAddress[],
): { readonly index: number; readonly name?: string } | undefined {
  const bound = subflow.linkIndex ?? 0;
  const owner = locals.find((local) =>
    bound === 0 ? local.address === subflow.local.address : local.linkIndex === bound,
  );
  if (owner !== undefined) return { index: owner.linkIndex, name: owner.linkName };
  return bound === 0 ? undefined : { index: bound };
}

/** Whether both ends of the connection are on this host, where other paths are of no use. */
export function isOwnHost(connection: ConnectionState, locals: readonly LocalAddress[]): boolean {
  const { address } = connection.remote;
  return address === connection.local.address || locals.some((local) => local.address === address);
}
