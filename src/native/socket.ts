/**
 * Sockets as file descriptors: any family, type and protocol. Each function is one system call with its errors
 * made into SystemError; who opens a descriptor closes it.
 */
import { AF_INET6, type Family } from '../base/ip.ts';
import * as C from './constants.ts';
import { check, EAGAIN, EINPROGRESS, EINTR, SystemError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';
import { emitSockaddr, parseSockaddr, SOCKADDR_STORAGE_BYTES, type SocketAddress } from './sockaddr.ts';

/** Opens a socket, always close-on-exec. Errors: EPROTONOSUPPORT, ENOPROTOOPT (MPTCP switched off), EMFILE … */
export function openSocket(family: number, type: number, protocol: number): number {
  const fd = libc.socket(family, type | C.SOCK_CLOEXEC, protocol);
  return check(fd, `socket(family ${family}, protocol ${protocol})`);
}

export function closeFd(fd: number): void {
  libc.close(fd);
}

export function bindSocket(fd: number, local: SocketAddress): void {
  const sockaddr = emitSockaddr(local);
  check(libc.bind(fd, sockaddr, sockaddr.length), `bind to ${local.address} port ${local.port}`);
}

/** Starts a connection. `true` when it is complete, `false` when the descriptor becomes writable at its end. */
export function startConnect(fd: number, remote: SocketAddress): boolean {
  const sockaddr = emitSockaddr(remote);
  for (;;) {
    if (libc.connect(fd, sockaddr, sockaddr.length) === 0) return true;
    const errno = lastErrno();
    if (errno === EINPROGRESS) return false;
    if (errno !== EINTR) throw new SystemError(`connect to ${remote.address} port ${remote.port}`, errno);
  }
}

export function listenOn(fd: number, backlog: number): void {
  check(libc.listen(fd, backlog), 'listen');
}

/** The next waiting connection, non-blocking and close-on-exec, or `undefined` when there is none. */
export function acceptFrom(fd: number): number | undefined {
  for (;;) {
    const accepted = libc.accept4(fd, null, null, C.SOCK_NONBLOCK | C.SOCK_CLOEXEC);
    if (accepted >= 0) return accepted;
    const errno = lastErrno();
    if (errno === EAGAIN) return undefined;
    if (errno !== EINTR) throw new SystemError('accept', errno);
  }
}

/** SO_ERROR: the errno of a finished asynchronous operation, 0 for none; reading it clears it. */
export function takeSocketError(fd: number): number {
  return getIntOption(fd, C.SOL_SOCKET, C.SO_ERROR);
}

/** Fills `value` and returns how many bytes the kernel wrote. The value may hold input, as MPTCP's do. */
export function getSocketOption(fd: number, level: number, name: number, value: Uint8Array): number {
  const length = new Uint8Array(4);
  const view = new DataView(length.buffer);
  view.setUint32(0, value.length, true);
  check(libc.getsockopt(fd, level, name, value, length), `getsockopt(level ${level}, option ${name})`);
  return view.getUint32(0, true);
}

export function getIntOption(fd: number, level: number, name: number): number {
  const value = new Uint8Array(4);
  getSocketOption(fd, level, name, value);
  return new DataView(value.buffer).getInt32(0, true);
}

export function setSocketOption(fd: number, level: number, name: number, value: Uint8Array): void {
  check(libc.setsockopt(fd, level, name, value, value.length), `setsockopt(level ${level}, option ${name})`);
}

export function setIntOption(fd: number, level: number, name: number, value: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  setSocketOption(fd, level, name, bytes);
}

/** Like setIntOption, and `false` instead of an error when the kernel refuses. */
export function trySetIntOption(fd: number, level: number, name: number, value: number): boolean {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return libc.setsockopt(fd, level, name, bytes, 4) === 0;
}

/** `undefined` for what is no IPv4 or IPv6 socket. */
export function localAddressOf(fd: number): SocketAddress | undefined {
  const sockaddr = new Uint8Array(SOCKADDR_STORAGE_BYTES);
  const length = new Uint8Array(4);
  const view = new DataView(length.buffer);
  view.setUint32(0, sockaddr.length, true);
  if (libc.getsockname(fd, sockaddr, length) < 0) return undefined;
  return parseSockaddr(sockaddr.subarray(0, view.getUint32(0, true)));
}

/**
 * Where an accepted connection was going before a firewall rule of this host redirected it here (conntrack); its own
 * local address when nothing did. `undefined` when the kernel does not know: no connection tracking, or the other
 * end has gone and was forgotten.
 */
export function originalDestinationOf(fd: number, family: Family): SocketAddress | undefined {
  const sockaddr = new Uint8Array(SOCKADDR_STORAGE_BYTES);
  const length = new Uint8Array(4);
  const view = new DataView(length.buffer);
  view.setUint32(0, family === AF_INET6 ? 28 : 16, true);
  const level = family === AF_INET6 ? C.IPPROTO_IPV6 : C.IPPROTO_IP;
  if (libc.getsockopt(fd, level, C.SO_ORIGINAL_DST, sockaddr, length) < 0) return undefined;
  return parseSockaddr(sockaddr.subarray(0, view.getUint32(0, true)));
}

const UNCONNECTED = new Uint8Array(16); // sockaddr with family AF_UNSPEC

/**
 * Ends a connection at once and without lingering: RST for TCP, MP_FASTCLOSE for MPTCP. Bytes not yet sent are
 * dropped. Works where SO_LINGER of 0 does not (MPTCP); connect(2), "dissolve the association". Never fails.
 */
export function abortConnection(fd: number): void {
  libc.connect(fd, UNCONNECTED, UNCONNECTED.length);
}

/** A second descriptor of the same open file, close-on-exec. */
export function duplicateFd(fd: number): number {
  return check(libc.fcntl(fd, C.F_DUPFD_CLOEXEC, 0), 'duplicate descriptor');
}
