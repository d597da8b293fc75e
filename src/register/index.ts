/**
 * register: makes the sockets of an unchanged Node program MPTCP. Importing `register.ts` does it; here is what it is
 * made of.
 */
export { hookTcpHandles, type HookReports, type SocketMaker } from './hook.ts';
export { tcpHandlePrototype, type TcpHandle } from './tcp-handle.ts';
