/**
 * mptcp: endpoints, limits, events, connections, sockets, sysctls and counters of the kernel's MPTCP.
 */
export * from './model.ts';
export { openStreamSocket, type StreamSocket } from './open-socket.ts';
export { PathManager, watchMptcpEvents, type MptcpEventHandlers, type SubflowEnds } from './path-manager.ts';
export type { SubflowAddress } from './path-manager-codec.ts';
