/**
 * Says what a connected stream socket speaks on the wire. An MPTCP descriptor may speak plain TCP, because the
 * other end or something on the path answered without MPTCP; the kernel then passes socket options to the one
 * TCP subflow that is left, and that is how it is seen here. Not here: numbers of a connection (socket-info.ts).
 *
 * References: TCP_IS_MPTCP in <linux/tcp.h> (Linux 5.16), net/mptcp/sockopt.c, RFC 8684 section 3.7.
 */
import type { Socket } from 'node:net';
import { WeftError } from '../base/errors.ts';
import {
  ENOPROTOOPT,
  EOPNOTSUPP,
  getIntOption,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  SO_PROTOCOL,
  SOL_SOCKET,
  SystemError,
  TCP_IS_MPTCP,
} from '../native/index.ts';

export interface SocketDescription {
  /** What is on the wire. A socket that is not connected yet counts as what it will ask for. */
  readonly protocol: 'mptcp' | 'tcp';
  /** What the descriptor is; `mptcp` with `protocol` `tcp` is a connection that fell back. */
  readonly descriptorProtocol: 'mptcp' | 'tcp';
  /** Why an MPTCP descriptor speaks TCP. */
  readonly fallbackReason?: string;
}

export const PEER_FALLBACK = 'the other end, or something on the path to it, does not speak MPTCP';

/** A descriptor, or a Node socket of any kind that has one (net, tls, the socket of an http message). */
export type SocketOrFd = number | Socket;

/**
 * The descriptor of a socket.
 *
 * @throws WeftError SOCKET_CLOSED when it has none (any more)
 */
export function fdOf(socket: SocketOrFd): number {
  if (typeof socket === 'number') return socket;
  // Node has no public way to a socket's descriptor; this one is as old as the handle itself.
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) {
    throw new WeftError('the socket has no descriptor: it is not connected, or closed', {
      code: 'SOCKET_CLOSED',
    });
  }
  return fd;
}

/**
 * TCP_IS_MPTCP answers 1 for MPTCP and 0 for TCP. Before Linux 5.16 TCP does not know it (ENOPROTOOPT). MPTCP itself
 * has long not known it either (still so in 6.1), but it says that in another way (EOPNOTSUPP), and a connection that
 * fell back is answered for by its TCP: so the two can be told apart on every kernel.
 */
function speaksMptcp(fd: number): boolean {
  try {
    return getIntOption(fd, IPPROTO_TCP, TCP_IS_MPTCP) === 1;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.errno === ENOPROTOOPT) return false;
    if (error.errno === EOPNOTSUPP) return getIntOption(fd, SOL_SOCKET, SO_PROTOCOL) === IPPROTO_MPTCP;
    throw error;
  }
}

/**
 * What a stream socket speaks now. One or two system calls.
 *
 * @throws SystemError when the descriptor is not a socket's (ENOTSOCK, EBADF); WeftError SOCKET_CLOSED
 */
export function describeSocket(socket: SocketOrFd): SocketDescription {
  const fd = fdOf(socket);
  if (speaksMptcp(fd)) return { protocol: 'mptcp', descriptorProtocol: 'mptcp' };
  if (getIntOption(fd, SOL_SOCKET, SO_PROTOCOL) !== IPPROTO_MPTCP) {
    return { protocol: 'tcp', descriptorProtocol: 'tcp' };
  }
  return { protocol: 'tcp', descriptorProtocol: 'mptcp', fallbackReason: PEER_FALLBACK };
}
