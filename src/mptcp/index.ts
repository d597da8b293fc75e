/**
 * mptcp: endpoints, limits, events, connections, sockets, sysctls and counters of the kernel's MPTCP.
 */
export { MptcpAgent, MptcpHttpsAgent, type MultipathOptions } from './agent.ts';
export { connectFd, type ConnectedSocket, type ConnectFdOptions } from './connect.ts';
export { connect, ConnectError, MptcpSocket, type ConnectOptions } from './connect-socket.ts';
export { raceStaggered, RaceLost, type RaceOptions } from './connect-race.ts';
export { interleaveFamilies } from './happy-eyeballs.ts';
export { joinConnections, listConnections, type MptcpConnection, type Subflow } from './connections.ts';
export { countOf, describeCounter, differenceOf, parseCounters, type Counters } from './counters.ts';
export { COUNTER_GROUPS, type CounterDescription, type CounterGroup } from './counters-meanings.ts';
export { readCounters } from './counters-read.ts';
export { deniesJoinId0, EVENT_NAMES, EventFlag, isServerSide, resetReasonText } from './event-words.ts';
export * from './model.ts';
export { openStreamSocket, type StreamSocket } from './open-socket.ts';
export { PathManager, watchMptcpEvents, type MptcpEventHandlers, type SubflowEnds } from './path-manager.ts';
export type { SubflowAddress } from './path-manager-codec.ts';
export {
  createServer,
  listenMultipath,
  MptcpServer,
  type ListenerDescription,
  type ListenOptions,
} from './server.ts';
export {
  describeSocket,
  fdOf,
  PEER_FALLBACK,
  type SocketDescription,
  type SocketOrFd,
} from './socket-info-describe.ts';
export {
  readConnectionInfo,
  readMptcpInfo,
  readSubflowAddresses,
  readSubflowTcpInfos,
  readTcpInfo,
} from './socket-info-read.ts';
export { parseMptcpInfo, type ConnectionInfo, type MptcpInfo, type SubflowInfo } from './socket-info.ts';
export { ScannedConnection, ScannedSubflow, SocketScan } from './socket-scan.ts';
export * from './sysctl.ts';
export { parseTcpInfo, tcpStateName, TcpState, type TcpInfo } from './tcp-info.ts';
