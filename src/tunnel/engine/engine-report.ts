/**
 * What the engine looks like from outside: its status, and the text of `mpt show status` (readings). While the tunnel is
 * made anew, which takes a moment, they tell how it was before.
 */
import { monotonicMs } from '../../native/index.ts';
import { formatStatusReport } from '../client/status-report.ts';
import { readTotalCounters } from '../data/data-counters.ts';
import { currentConfig } from './connection-report.ts';
import type { TunnelCore } from './core.ts';
import type { TunnelEngineStatus } from './types.ts';

/** How everything was before the tunnel was taken down to be made anew. */
export interface EngineSnapshot {
  readonly status: TunnelEngineStatus;
  readonly text: string;
}

export function snapshotEngine(core: TunnelCore): EngineSnapshot {
  return { status: reportNow(core), text: reportTextNow(core) };
}

export function reportEngine(core: TunnelCore): TunnelEngineStatus {
  return core.snapshot?.status ?? reportNow(core);
}

/** What `mpt show status` answers and `mptsrv` prints. */
export function statusReport(core: TunnelCore): string {
  return core.snapshot?.text ?? reportTextNow(core);
}

function reportNow(core: TunnelCore): TunnelEngineStatus {
  const { acceptRemote, ipv4, ipv6, name } = core.config.interface;
  const { device } = core.host;
  const { sent, received } = readTotalCounters(core.plane.outboundTotals, core.plane.inboundTotals);
  const nowMs = monotonicMs();
  return {
    tunnel: {
      interfaceName: name,
      mtu: device.mtuBytes,
      ...(ipv4 && { ipv4: `${ipv4.address}/${ipv4.length}` }),
      ...(ipv6 && { ipv6: `${ipv6.address}/${ipv6.length}` }),
      commandPort: core.port.port,
      acceptRemote,
      uptimeS: Math.round((nowMs - core.startedMs) / 1000),
      hasVirtioHeader: device.hasVirtioHeader,
      hasTcpOffload: device.hasTcpOffload,
      hasUdpOffload: device.hasUdpOffload,
      troubles: [...core.events.troubles],
    },
    connections: core.connections.all.map((connection) => connection.toStatus(nowMs)),
    totals: {
      noConnection: sent.noConnection,
      malformed: sent.malformed,
      tunReads: sent.reads,
      tunWrites: received.writes,
      tunWriteErrors: received.writeErrors,
    },
    control: core.port.counters(),
  };
}

function reportTextNow(core: TunnelCore): string {
  const { acceptRemote, ipv4, ipv6, name } = core.config.interface;
  const { device } = core.host;
  return formatStatusReport(
    {
      interfaceName: name,
      descriptor: device.fd,
      mtu: device.mtuBytes,
      ...(ipv4 && { ipv4 }),
      ...(ipv6 && { ipv6 }),
      commandPort: core.port.port,
      acceptRemote,
    },
    core.connections.all.map((connection) => ({
      file: connection.file,
      connection: currentConfig(connection, core.port.port),
      packetsSent: connection.sentPackets,
    })),
  );
}
