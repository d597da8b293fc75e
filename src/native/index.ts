/**
 * native: system calls, sockets, epoll, TUN/TAP, namespaces. The only layer that imports koffi.
 * Upper layers import from here; the bare `libc` is for data paths that cannot afford the wrappers.
 */
export * from './constants.ts';
export { DatagramSocket, type DatagramOrigin, type ReceivedDatagram } from './datagram-socket.ts';
export { openSocketPair, sendDescriptor } from './descriptor-passing.ts';
export * from './epoll.ts';
export * from './epoll-thread.ts';
export * from './errno.ts';
export { replaceProcess } from './exec.ts';
export { isGoneTerminal, releaseGoneTerminals } from './gone-terminal.ts';
export { FileLock } from './file-lock.ts';
export { loadKernelModule, mountFileSystem, powerOff, raiseOpenFiles } from './init.ts';
export { addressOf, bindAll, exitAtOnce, libc, lastErrno, platformProblem } from './libc.ts';
export * from './link-names.ts';
export { monotonicMs, monotonicUs } from './monotonic.ts';
export * from './namespace.ts';
export * from './network-settings.ts';
export * from './owned-buffer.ts';
export { reactor, type ReadyCallback, type Watch } from './reactor.ts';
export * from './process-identity.ts';
export { removeFile } from './remove-file.ts';
export * from './sockaddr.ts';
export * from './socket.ts';
export * from './tuntap.ts';
export { emitSockaddrUnix, UnixDatagram } from './unix-datagram.ts';
