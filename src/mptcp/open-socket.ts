/**
 * Opens a stream socket that is MPTCP where the kernel has it and TCP where not, and says which and why.
 * The one place that decides the fallback; connect, createServer, the agent and the proxy use it.
 */
import type { Family } from '../base/ip.ts';
import {
  EINVAL,
  ENOPROTOOPT,
  EPERM,
  EACCES,
  EPROTONOSUPPORT,
  errnoName,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  openSocket,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SystemError,
} from '../native/index.ts';

export interface StreamSocket {
  /** Non-blocking, close-on-exec; the caller's to close. */
  readonly fd: number;
  readonly protocol: 'mptcp' | 'tcp';
  /** Why it is TCP although MPTCP was asked for. */
  readonly fallbackReason?: string;
}

const FALLBACK_REASONS: ReadonlyMap<number, string> = new Map([
  [EPROTONOSUPPORT, 'the kernel has no MPTCP (CONFIG_MPTCP, Linux 5.6 or newer)'],
  [EINVAL, 'the kernel has no MPTCP (CONFIG_MPTCP, Linux 5.6 or newer)'],
  [ENOPROTOOPT, 'MPTCP is switched off (sysctl net.mptcp.enabled=1 switches it on)'],
  [EPERM, 'opening MPTCP sockets is not permitted here (a security policy forbids it)'],
  [EACCES, 'opening MPTCP sockets is not permitted here (a security policy forbids it)'],
]);

/**
 * @param multipath `false` asks for plain TCP
 * @throws SystemError when not even a TCP socket can be had (EMFILE, EAFNOSUPPORT …)
 */
export function openStreamSocket(family: Family, multipath = true): StreamSocket {
  const type = SOCK_STREAM | SOCK_NONBLOCK;
  if (!multipath) return { fd: openSocket(family, type, IPPROTO_TCP), protocol: 'tcp' };
  try {
    return { fd: openSocket(family, type, IPPROTO_MPTCP), protocol: 'mptcp' };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const reason = FALLBACK_REASONS.get(error.errno);
    if (reason === undefined) throw error;
    return {
      fd: openSocket(family, type, IPPROTO_TCP),
      protocol: 'tcp',
      fallbackReason: `${reason} (${errnoName(error.errno)})`,
    };
  }
}
