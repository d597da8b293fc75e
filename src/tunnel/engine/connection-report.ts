/** What a live connection looks like from outside: its status, and its configuration to show and to save (readings). */
import { DEFAULT_BUFFER_DELAY_MS, type ConnectionConfig } from '../config/model.ts';
import { PathStatus } from '../control/path-status.ts';
import type { ConnectionCounters } from '../data/data-counters.ts';
import type { LiveConnection } from './live-connection.ts';
import type { PathLink } from './path-link.ts';
import { reportPath } from './path-report.ts';
import type { TunnelConnectionStatus } from './types.ts';

/** Everything as it is now, for `show status` and for a peer that is to make the connection. */
export function currentConfig(connection: LiveConnection, commandPort: number): ConnectionConfig {
  return {
    ...connection.config,
    localPort: connection.localPort,
    localCommandPort: commandPort,
    paths: connection.links.map((link) => ({
      ...link.config,
      publicAddress: link.publicAddress,
      privateAddress: link.privateAddress,
      gatewayAddress: link.gatewayAddress,
      remoteAddress: link.remoteAddress,
      status: link.status,
    })),
  };
}

/** What is saved: as configured, but for paths that a hand set down or up. */
export function savedConfig(connection: LiveConnection): ConnectionConfig {
  return {
    ...connection.config,
    paths: connection.links.map((link) => ({ ...link.config, status: savedStatus(link) })),
  };
}

/** Set down by hand is meant to last, everything else is of the moment. */
function savedStatus({ config, status }: PathLink): number {
  if (status === PathStatus.manualDown) return PathStatus.manualDown;
  return config.status === PathStatus.manualDown ? PathStatus.ok : config.status;
}

export function reportConnection(
  connection: LiveConnection,
  { received, sent }: ConnectionCounters,
  nowMs: number,
): TunnelConnectionStatus {
  const { config } = connection;
  return {
    file: connection.file,
    name: config.name,
    origin: connection.origin,
    ipVersion: config.ipVersion,
    localAddress: config.localAddress,
    remoteAddress: config.remoteAddress,
    localPort: connection.localPort,
    remotePort: config.remotePort,
    remoteCommandPort: config.remoteCommandPort,
    authType: config.authType,
    scheduler: config.scheduler,
    reorderWindow: config.reorderWindow,
    maxDelayMs: config.maxBufferDelayMs || DEFAULT_BUFFER_DELAY_MS,
    networks: config.networks.map(({ source, destination }) => ({
      source: `${source.address}/${source.length}`,
      destination: `${destination.address}/${destination.length}`,
    })),
    innerMtu: connection.innerMtu,
    sentPackets: sent.packets,
    sentBytes: sent.bytes,
    noPath: sent.noPath,
    tooBig: sent.tooBig,
    receivedPackets: received.packets,
    receivedBytes: received.bytes,
    late: received.late,
    duplicate: received.duplicate,
    missing: received.missing,
    restarts: received.restarts,
    waiting: received.waiting,
    copies: received.copies,
    paths: connection.links.map((link) => reportPath(link, nowMs)),
  };
}
