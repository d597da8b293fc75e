/**
 * Joins what the proxy knows of its connections with what the kernel knows of them, by MPTCP token (pure).
 */
import type { MptcpConnection, Subflow } from '../mptcp/index.ts';
import type { ProxyConnection } from '../proxy/index.ts';
import type { ConnectionReport, SubflowReport } from './control-api.ts';
import { CONNECTIONS_SHOWN_MAX } from './control-api.ts';

const LATE_FALLBACK = 'it fell back after its beginning: something on the way removes or changes MPTCP';

function reportSubflow(subflow: Subflow, linkOf: (address: string) => string | undefined): SubflowReport {
  const { localAddress, localPort, remoteAddress, remotePort, state, backupLocal, backupRemote, tcp } =
    subflow;
  const link = linkOf(localAddress);
  return {
    localAddress,
    localPort,
    remoteAddress,
    remotePort,
    ...(link === undefined ? {} : { link }),
    state,
    backup: backupLocal || backupRemote,
    ...(tcp.rttUs === undefined ? {} : { rttUs: tcp.rttUs }),
    ...(tcp.bytesSent === undefined ? {} : { bytesSent: tcp.bytesSent }),
    ...(tcp.bytesReceived === undefined ? {} : { bytesReceived: tcp.bytesReceived }),
  };
}

function reportConnection(
  connection: ProxyConnection,
  kernel: MptcpConnection | undefined,
  nowMs: number,
  linkOf: (address: string) => string | undefined,
): ConnectionReport {
  const fellBack = kernel?.fallback === true;
  const fallbackReason = connection.fallbackReason ?? (fellBack ? LATE_FALLBACK : undefined);
  const subflowsMax = kernel?.info.subflowsMax;
  return {
    id: connection.id,
    kind: connection.kind,
    client: connection.client,
    ...(connection.user === undefined ? {} : { user: connection.user }),
    target: connection.target,
    remote: connection.remote,
    protocol: fellBack ? 'tcp' : connection.protocol,
    ...(fallbackReason === undefined ? {} : { fallbackReason }),
    ...(connection.via === undefined ? {} : { via: connection.via }),
    ...(connection.token === undefined ? {} : { token: connection.token }),
    bytesUp: connection.bytesUp,
    bytesDown: connection.bytesDown,
    openForMs: Math.max(0, nowMs - connection.openedAtMs),
    subflows: (kernel?.subflows ?? []).map((subflow) => reportSubflow(subflow, linkOf)),
    ...(subflowsMax === undefined ? {} : { subflowsMax }),
  };
}

/**
 * @param kernel every MPTCP connection of the network namespace
 * @param linkOf the link that has a local address
 * @returns the newest `CONNECTIONS_SHOWN_MAX`, oldest first, and how many are left out
 */
export function reportConnections(
  proxied: readonly ProxyConnection[],
  kernel: readonly MptcpConnection[],
  nowMs: number,
  linkOf: (address: string) => string | undefined,
): { readonly connections: readonly ConnectionReport[]; readonly connectionsOmitted: number } {
  const byToken = new Map(kernel.map((connection) => [connection.token, connection]));
  const newest = proxied.toSorted((a, b) => a.id - b.id).slice(-CONNECTIONS_SHOWN_MAX);
  const connections = newest.map((connection) => {
    const found = connection.token === undefined ? undefined : byToken.get(connection.token);
    return reportConnection(connection, found, nowMs, linkOf);
  });
  return { connections, connectionsOmitted: proxied.length - newest.length };
}
