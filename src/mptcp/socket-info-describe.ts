/**
 * Says what a connected stream socket speaks on the wire. An MPTCP descriptor may speak plain TCP, because the
 * other end or something on the path answered without MPTCP; the kernel then passes socket options to the one
 * TCP subflow that is left, and that is how it is seen here. Not here: numbers of a connection (socket-info.ts).
 *
 * References: TCP_IS_MPTCP in <linux/tcp.h> (Linux 5.16), net/mptcp/sockopt.c, RFC 8684 section 3.7.
 */
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

/** TCP_IS_MPTCP answers 1 for MPTCP, 0 for TCP, and with an error for TCP before Linux 5.16. */
function speaksMptcp(fd: number): boolean {
  try {
    return getIntOption(fd, IPPROTO_TCP, TCP_IS_MPTCP) === 1;
  } catch (error) {
    if (error instanceof SystemError && (error.errno === ENOPROTOOPT || error.errno === EOPNOTSUPP)) {
      return false;
    }
    throw error;
  }
}

/**
 * What the stream socket `fd` speaks. One or two system calls.
 *
 * @throws SystemError when `fd` is not a socket (ENOTSOCK, EBADF)
 */
export function describeSocket(fd: number): SocketDescription {
  if (speaksMptcp(fd)) return { protocol: 'mptcp', descriptorProtocol: 'mptcp' };
  if (getIntOption(fd, SOL_SOCKET, SO_PROTOCOL) !== IPPROTO_MPTCP) {
    return { protocol: 'tcp', descriptorProtocol: 'tcp' };
  }
  return { protocol: 'tcp', descriptorProtocol: 'mptcp', fallbackReason: PEER_FALLBACK };
}
