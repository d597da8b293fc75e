/**
 * Every MPTCP connection of a network namespace with its subflows, from socket diagnostics: two readings, joined
 * by the connection's token. A subflow that is born between the two readings is left out, one that dies is too.
 *
 * Reading needs no privilege; without CAP_NET_ADMIN the kernel leaves a few numbers out.
 */
import {
  SocketDiag,
  SubflowFlag,
  type DiagSocket,
  type DiagSubflow,
  type NetlinkSocketOptions,
} from '../netlink/index.ts';
import { parseMptcpInfo, type MptcpInfo } from './socket-info.ts';
import { parseTcpInfo, tcpStateName, type TcpInfo } from './tcp-info.ts';

export interface Subflow {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Address ids (RFC 8684 section 3.4.1); 0 is the address of the first subflow. */
  readonly localId: number;
  readonly remoteId: number;
  /** The one that the connection began with (MP_CAPABLE), not one that joined it. */
  readonly initial: boolean;
  /** This end asked for it to be used only when others fail. */
  readonly backupLocal: boolean;
  readonly backupRemote: boolean;
  /** Bound to this link; 0 when the routing table decides. */
  readonly linkIndex: number;
  /** `established`, `syn-sent` … */
  readonly state: string;
  readonly congestionControl?: string;
  readonly tcp: TcpInfo;
}

export interface MptcpConnection {
  /** Local token: the connection's name in events and commands. */
  readonly token: number;
  /** `established`, `close-wait`, `listen` … */
  readonly state: string;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly uid: number;
  readonly inode: number;
  readonly receiveQueueBytes: number;
  readonly sendQueueBytes: number;
  /** Plain TCP is on the wire, because the other end or the path has no MPTCP. */
  readonly fallback: boolean;
  readonly info: MptcpInfo;
  /** After a fallback the one TCP connection that is left, or none where the kernel does not tell. */
  readonly subflows: readonly Subflow[];
}

function toSubflow(socket: DiagSubflow): Subflow {
  const { flags, localId, remoteId } = socket.subflow;
  return {
    localAddress: socket.localAddress,
    localPort: socket.localPort,
    remoteAddress: socket.remoteAddress,
    remotePort: socket.remotePort,
    localId,
    remoteId,
    initial: (flags & (SubflowFlag.mpJoinLocal | SubflowFlag.mpJoinRemote)) === 0,
    backupLocal: (flags & SubflowFlag.backupLocal) !== 0,
    backupRemote: (flags & SubflowFlag.backupRemote) !== 0,
    linkIndex: socket.linkIndex,
    state: tcpStateName(socket.state),
    ...(socket.congestionControl === undefined ? {} : { congestionControl: socket.congestionControl }),
    tcp: parseTcpInfo(socket.info ?? new Uint8Array(0)),
  };
}

function toConnection(
  socket: DiagSocket,
  subflowsOf: ReadonlyMap<number, readonly Subflow[]>,
): MptcpConnection {
  const info = parseMptcpInfo(socket.info ?? new Uint8Array(0));
  const token = info.token ?? 0;
  return {
    token,
    state: tcpStateName(socket.state),
    localAddress: socket.localAddress,
    localPort: socket.localPort,
    remoteAddress: socket.remoteAddress,
    remotePort: socket.remotePort,
    uid: socket.uid,
    inode: socket.inode,
    receiveQueueBytes: socket.receiveQueueBytes,
    sendQueueBytes: socket.sendQueueBytes,
    fallback: info.fallback ?? false,
    info,
    subflows: subflowsOf.get(token) ?? [],
  };
}

/** Joins the two readings (pure). Subflows keep the kernel's order, the initial one first. */
export function joinConnections(
  connections: readonly DiagSocket[],
  subflows: readonly DiagSubflow[],
): MptcpConnection[] {
  const byToken = new Map<number, Subflow[]>();
  for (const socket of subflows) {
    const list = byToken.get(socket.subflow.localToken) ?? [];
    list.push(toSubflow(socket));
    byToken.set(socket.subflow.localToken, list);
  }
  for (const list of byToken.values()) list.sort((a, b) => Number(b.initial) - Number(a.initial));
  return connections.map((socket) => toConnection(socket, byToken));
}

/** All MPTCP connections that are not listeners. UNBOUNDED: as many as the host has. */
export function listConnections(options: NetlinkSocketOptions = {}): MptcpConnection[] {
  const diag = SocketDiag.open(options);
  try {
    return joinConnections(diag.mptcpSockets(), diag.tcpSubflows());
  } finally {
    diag.close();
  }
}
