/**
 * mptcp: endpoints, limits, events, connections, sockets, sysctls and counters of the kernel's MPTCP.
 */
export { joinConnections, listConnections, type MptcpConnection, type Subflow } from './connections.ts';
export * from './model.ts';
export { connectFd, type ConnectedSocket, type ConnectFdOptions } from './connect.ts';
export { openStreamSocket, type StreamSocket } from './open-socket.ts';
export { PathManager, watchMptcpEvents, type MptcpEventHandlers, type SubflowEnds } from './path-manager.ts';
export type { SubflowAddress } from './path-manager-codec.ts';
export { describeSocket, type SocketDescription } from './socket-info-describe.ts';
export { parseMptcpInfo, type MptcpInfo } from './socket-info.ts';
export { parseTcpInfo, tcpStateName, TcpState, type TcpInfo } from './tcp-info.ts';
