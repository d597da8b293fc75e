/**
 * Reads the connections and subflows of a network namespace from socket diagnostics, as far as the daemon's table of
 * connections is concerned.
 */
import { unmapV4 } from '../../base/index.ts';
import { parseMptcpInfo, TcpState } from '../../mptcp/index.ts';
import { SocketDiag, SubflowFlag, type DiagSocket, type DiagSubflow } from '../../netlink/index.ts';
import type { PathAddress } from '../plugin-api.ts';

export interface ReadSubflow {
  readonly local: PathAddress;
  readonly remote: PathAddress;
  readonly localId: number;
  readonly remoteId: number;
  readonly backup: boolean;
  readonly linkIndex: number;
  /** The connection began with it. */
  readonly first: boolean;
  /** Not only there, but in use. */
  readonly open: boolean;
}

export interface ReadConnection {
  readonly token: number;
  readonly local: PathAddress;
  readonly remote: PathAddress;
  readonly serverSide: boolean;
  /** Not only there, but fit to be told of as new: MPTCP is on the wire. */
  readonly open: boolean;
  readonly established: boolean;
  readonly subflows: readonly ReadSubflow[];
}

/** By token. */
export type HostReading = ReadonlyMap<number, ReadConnection>;

const OPEN_SUBFLOW: ReadonlySet<number> = new Set([TcpState.established, TcpState.closeWait]);
const NOT_OPEN: ReadonlySet<number> = new Set([
  TcpState.synSent,
  TcpState.synReceived,
  TcpState.closed,
  TcpState.timeWait,
  TcpState.listen,
]);

const localOf = ({ localAddress, localPort }: DiagSocket): PathAddress => ({
  address: unmapV4(localAddress),
  port: localPort,
});
const remoteOf = ({ remoteAddress, remotePort }: DiagSocket): PathAddress => ({
  address: unmapV4(remoteAddress),
  port: remotePort,
});

const JOINED = SubflowFlag.mpJoinLocal | SubflowFlag.mpJoinRemote;

function readSubflow(socket: DiagSubflow): ReadSubflow {
  const { flags, localId, remoteId } = socket.subflow;
  return {
    local: localOf(socket),
    remote: remoteOf(socket),
    localId,
    remoteId,
    // Either end's wish makes it one.
    backup: (flags & (SubflowFlag.backupLocal | SubflowFlag.backupRemote)) !== 0,
    linkIndex: socket.linkIndex,
    first: (flags & JOINED) === 0,
    open: OPEN_SUBFLOW.has(socket.state),
  };
}

/**
 * Closed by its program, and only finishing in the kernel, which has told its end already. One that waits to be
 * accepted has no program either, but no end yet.
 */
function isLeft({ inode, state }: DiagSocket): boolean {
  return inode === 0 && !OPEN_SUBFLOW.has(state);
}

/** Whether this end was connected to: the one that connects asks for MPTCP, or joins. */
function isServer(subflows: readonly DiagSubflow[]): boolean {
  const first = subflows.find(({ subflow }) => (subflow.flags & JOINED) === 0);
  if (first !== undefined) return (first.subflow.flags & SubflowFlag.mpCapableLocal) === 0;
  return (
    subflows.length > 0 && subflows.every(({ subflow }) => (subflow.flags & SubflowFlag.mpJoinLocal) === 0)
  );
}

function isEstablished(subflows: readonly DiagSubflow[]): boolean {
  return subflows.some(({ subflow }) => (subflow.flags & (SubflowFlag.fullyEstablished | JOINED)) !== 0);
}

/** Joins the two readings (pure). */
export function joinReading(
  connections: readonly DiagSocket[],
  subflows: readonly DiagSubflow[],
): HostReading {
  const byToken = new Map<number, DiagSubflow[]>();
  for (const socket of subflows) {
    const known = byToken.get(socket.subflow.localToken);
    if (known === undefined) byToken.set(socket.subflow.localToken, [socket]);
    else known.push(socket);
  }
  const reading = new Map<number, ReadConnection>();
  for (const socket of connections) {
    const { token, fallback } = parseMptcpInfo(socket.info ?? new Uint8Array(0));
    if (token === undefined || token === 0 || isLeft(socket)) continue;
    const own = byToken.get(token) ?? [];
    reading.set(token, {
      token,
      local: localOf(socket),
      remote: remoteOf(socket),
      serverSide: isServer(own),
      open: fallback !== true && !NOT_OPEN.has(socket.state),
      established: isEstablished(own),
      subflows: own.map(readSubflow),
    });
  }
  return reading;
}

/** UNBOUNDED: as many as the host has. @param netns file of the network namespace */
export function readHostConnections(netns: string | undefined): HostReading {
  const diag = SocketDiag.open(netns === undefined ? {} : { netns });
  try {
    return joinReading(diag.mptcpSockets(), diag.tcpSubflows());
  } finally {
    diag.close();
  }
}
