/**
 * Connects one stream socket to one address, MPTCP where it can be had and TCP where not, and says which it
 * became. The lower of two faces: host names and Node sockets are in connect-socket.ts.
 *
 * Invariant: the descriptor is either the caller's, connected, or closed; there is no third outcome, whichever of
 * success, refusal, timeout and abort comes first.
 */
import { WeftError } from '../base/errors.ts';
import { AF_INET, AF_INET6, isIpv6, parseIp } from '../base/ip.ts';
import {
  bindSocket,
  closeFd,
  EACCES,
  ENODEV,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
  EPOLLOUT,
  EPROTONOSUPPORT,
  ETIMEDOUT,
  IPPROTO_IP,
  linkIndexOf,
  reactor,
  setIntOption,
  setSocketOption,
  SO_BINDTODEVICE,
  SO_MARK,
  SOL_SOCKET,
  startConnect,
  SystemError,
  takeSocketError,
  trySetIntOption,
  type SocketAddress,
  type Watch,
} from '../native/index.ts';
import { openStreamSocket, type StreamSocket } from './open-socket.ts';
import { describeSocket } from './socket-info-describe.ts';

export interface ConnectFdOptions {
  /** IPv4 or IPv6 address in text; IPv6 link-local ones with their zone (`fe80::1%eth0`). */
  readonly address: string;
  readonly port: number;
  /** Address of this host to connect from. */
  readonly localAddress?: string;
  /** Port to connect from; without it the kernel chooses. */
  readonly localPort?: number;
  /** Name of the link that the connection's first subflow is bound to (SO_BINDTODEVICE). */
  readonly localLink?: string;
  /**
   * SO_MARK, by which firewall and routing rules know the connection's packets, those of later subflows too (from
   * Linux 5.13 on). Needs CAP_NET_ADMIN.
   */
  readonly mark?: number;
  /** `false` asks for plain TCP. Default `true`. */
  readonly multipath?: boolean;
  /** Rejects with ETIMEDOUT after this long. Without it the kernel's own limit counts (about 2 minutes). */
  readonly timeoutMs?: number;
  /** Rejects with ABORT_ERR when it aborts before the connection is there. */
  readonly signal?: AbortSignal;
}

/** A connected socket. `protocol` is what is spoken on the wire. */
export interface ConnectedSocket extends StreamSocket {
  /** What the descriptor is; `mptcp` with `protocol` `tcp` is a connection that fell back. */
  readonly descriptorProtocol: 'mptcp' | 'tcp';
}

/** <linux/in.h>: the port is chosen at connect, so that one address is not limited to 28,000 connections. */
const IP_BIND_ADDRESS_NO_PORT = 24;

/** Answers to bind or connect that may be about MPTCP; TCP is tried then, and has the last word. */
const REFUSALS_OF_MPTCP: ReadonlySet<number> = new Set([
  EPROTONOSUPPORT,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
  EACCES,
]);

const scopeIdOf = (zone: string): number | undefined =>
  /^\d+$/.test(zone) ? Number(zone) : linkIndexOf(zone);

/** An address in text, perhaps with a zone, as native takes it. */
export function socketAddress(text: string, port: number): SocketAddress {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new WeftError(`"${port}" is not a port`, { code: 'BAD_PORT', hint: 'ports are 0 to 65535' });
  }
  const zoneAt = text.indexOf('%');
  const address = zoneAt < 0 ? text : text.slice(0, zoneAt);
  const scopeId = zoneAt < 0 ? undefined : scopeIdOf(text.slice(zoneAt + 1));
  if (parseIp(address) === undefined || (zoneAt >= 0 && scopeId === undefined)) {
    throw new WeftError(`"${text}" is not an IP address of a link of this host`, { code: 'BAD_ADDRESS' });
  }
  return scopeId === undefined ? { address, port } : { address, port, scopeId };
}

/** <linux/if.h>, without the zero at the end. */
const LONGEST_LINK_NAME_BYTES = 15;

function bindToLink(fd: number, link: string): void {
  const operation = `bind to link "${link}"`;
  const name = new TextEncoder().encode(link);
  // The kernel would cut a longer name to another link's, and take an empty one for "any link".
  if (name.length === 0 || name.length > LONGEST_LINK_NAME_BYTES) throw new SystemError(operation, ENODEV);
  try {
    setSocketOption(fd, SOL_SOCKET, SO_BINDTODEVICE, name);
  } catch (error) {
    throw error instanceof SystemError ? new SystemError(operation, error.errno) : error;
  }
}

function bindLocal(fd: number, options: ConnectFdOptions): void {
  const { localAddress, localLink, localPort = 0 } = options;
  if (localLink !== undefined) bindToLink(fd, localLink);
  if (localAddress === undefined && localPort === 0) return;
  if (localPort === 0) trySetIntOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  const any = isIpv6(options.address) ? '::' : '0.0.0.0';
  bindSocket(fd, socketAddress(localAddress ?? any, localPort));
}

interface Attempt {
  readonly socket: StreamSocket;
  readonly complete: boolean;
}

/** Opens a socket and starts its connection; closes it when that fails at once. */
function startAttempt(options: ConnectFdOptions, remote: SocketAddress, multipath: boolean): Attempt {
  const socket = openStreamSocket(isIpv6(remote.address) ? AF_INET6 : AF_INET, multipath);
  try {
    if (options.mark !== undefined) setIntOption(socket.fd, SOL_SOCKET, SO_MARK, options.mark);
    bindLocal(socket.fd, options);
    return { socket, complete: startConnect(socket.fd, remote) };
  } catch (error) {
    closeFd(socket.fd);
    if (socket.protocol === 'tcp') throw error;
    if (!(error instanceof SystemError) || !REFUSALS_OF_MPTCP.has(error.errno)) throw error;
    const attempt = startAttempt(options, remote, false);
    const fallbackReason = `the kernel refused MPTCP for this connection (${error.code})`;
    return { ...attempt, socket: { ...attempt.socket, fallbackReason } };
  }
}

function connectedSocket(socket: StreamSocket): ConnectedSocket {
  const { fd } = socket;
  const described = describeSocket(fd);
  // The reason known when the socket was opened is the more exact one.
  const fallbackReason = socket.fallbackReason ?? described.fallbackReason;
  return {
    fd,
    protocol: described.protocol,
    descriptorProtocol: described.descriptorProtocol,
    ...(fallbackReason === undefined ? {} : { fallbackReason }),
  };
}

/** The error that aborting rejects with; as Node's own it is named AbortError and carries the signal's reason. */
export function abortError(what: string, signal: AbortSignal): WeftError {
  const error = new WeftError(`${what}: aborted`, { code: 'ABORT_ERR', cause: signal.reason });
  error.name = 'AbortError';
  return error;
}

/**
 * Connects to one address and resolves with the connected descriptor, which is then the caller's to close.
 *
 * Rejects with SystemError, whose `code` is as in Node's own errors (ECONNREFUSED, ETIMEDOUT, ENETUNREACH,
 * EADDRNOTAVAIL …), with WeftError BAD_ADDRESS or BAD_PORT, or with WeftError ABORT_ERR. Nothing stays open then.
 */
export async function connectFd(options: ConnectFdOptions): Promise<ConnectedSocket> {
  const { port, signal, timeoutMs, multipath = true } = options;
  const operation = `connect to ${options.address} port ${port}`;
  if (signal?.aborted === true) throw abortError(operation, signal);
  const remote = socketAddress(options.address, port);
  const { socket, complete } = startAttempt(options, remote, multipath);
  const { fd } = socket;
  try {
    if (!complete) await waitUntilConnected(fd, operation, timeoutMs, signal);
    return connectedSocket(socket);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Resolves when the connection started on `fd` is there. Leaves nothing watched; never closes `fd`. */
function waitUntilConnected(
  fd: number,
  operation: string,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let watch: Watch | undefined;
    let timer: NodeJS.Timeout | undefined;
    const finish = (error?: Error) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      watch?.close();
      if (error === undefined) resolve();
      else reject(error);
    };
    const onAbort = () => finish(abortError(operation, signal!));
    watch = reactor.watch(fd, EPOLLOUT, () => {
      const errno = takeSocketError(fd);
      finish(errno === 0 ? undefined : new SystemError(operation, errno));
    });
    signal?.addEventListener('abort', onAbort, { once: true });
    if (timeoutMs !== undefined) {
      timer = setTimeout(() => finish(new SystemError(operation, ETIMEDOUT)), timeoutMs);
    }
  });
}
