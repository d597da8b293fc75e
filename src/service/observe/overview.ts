/** The overview, from what the last look left (a reading; nothing is changed). */
import { hostname } from 'node:os';
import type { ConnectionTable } from './connection-table.ts';
import type { LinkMeter } from './link-meter.ts';
import type { Overview, PathReading, Totals, TunnelReading } from './model.ts';
import { readPeers } from './peers.ts';
import type { HostReading, ObserverSources } from './sources.ts';

const ESTABLISHED = 1;
const PROXY_ADDRESSES_MAX = 16;

export interface OverviewParts {
  readonly sources: ObserverSources;
  /** Absent when no look has succeeded yet. */
  readonly host: HostReading | undefined;
  readonly time: number;
  readonly sample: number;
  readonly sampleMs: number;
  readonly sampleIntervalMs: number;
  readonly table: ConnectionTable;
  readonly links: LinkMeter;
  readonly paths: readonly PathReading[];
  readonly pathsOmitted: number;
  readonly tunnels: readonly TunnelReading[];
}

function readTotals(table: ConnectionTable, paths: readonly PathReading[]): Totals {
  let connections = 0;
  let mptcp = 0;
  let fallbacks = 0;
  let severalPaths = 0;
  let subflows = 0;
  for (const record of table.connections()) {
    connections++;
    if (record.protocol !== 'mptcp') {
      if (record.fallbackReason !== undefined) fallbacks++;
      continue;
    }
    mptcp++;
    let normal = 0;
    for (const { backup, seen, silence, state } of record.subflows) {
      if (seen !== record.seen || state !== ESTABLISHED) continue;
      subflows++;
      if (!backup && silence === undefined) normal++;
    }
    if (normal > 1) severalPaths++;
  }
  const sum = (of: (path: PathReading) => number) => paths.reduce((total, path) => total + of(path), 0);
  return {
    connections,
    mptcp,
    fallbacks,
    subflows,
    severalPaths,
    sentBitsPerSecond: sum((path) => path.sentBitsPerSecond),
    receivedBitsPerSecond: sum((path) => path.receivedBitsPerSecond),
    retransmissionsPerSecond: Math.round(sum((path) => path.retransmissionsPerSecond) * 10) / 10,
  };
}

export function readOverview(parts: OverviewParts): Overview {
  const { host, links, paths, sources, table, tunnels } = parts;
  const totals = readTotals(table, paths);
  return {
    apiVersion: 1,
    time: parts.time,
    sample: parts.sample,
    sampleMs: Math.round(parts.sampleMs * 10) / 10,
    sampleIntervalMs: parts.sampleIntervalMs,
    program: sources.program,
    version: sources.version,
    pid: process.pid,
    hostname: hostname(),
    upForMs: Math.round(process.uptime() * 1000),
    ...(host?.mode === undefined ? {} : { mode: host.mode }),
    ...(host?.reason === undefined ? {} : { reason: host.reason }),
    multipath: { inUse: totals.severalPaths > 0, explanation: host?.explanation ?? [] },
    mayChange: host?.mayChange ?? false,
    links: links.readings(),
    linksOmitted: links.omitted,
    ignoredLinks: host?.ignoredLinks ?? [],
    paths,
    pathsOmitted: parts.pathsOmitted,
    ...readPeers(table.subflows()),
    tunnels,
    endpoints: host?.endpoints ?? [],
    ...(host?.limits === undefined ? {} : { limits: host.limits }),
    ...(host?.limitsMaximum === undefined ? {} : { limitsMaximum: host.limitsMaximum }),
    proxyAddresses: sources.proxyAddresses().slice(0, PROXY_ADDRESSES_MAX),
    totals,
  };
}
