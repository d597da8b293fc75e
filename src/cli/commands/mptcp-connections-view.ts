/**
 * The text of `weft mptcp connections` (pure): one row for each connection, one below it for each subflow. Rates
 * appear when there is an earlier reading to compare with.
 */
import { formatBitsPerSecond, formatBytes, formatDurationMs, formatSocketAddress } from '../../base/index.ts';
import type { MptcpConnection, Subflow } from '../../mptcp/index.ts';
import { table, type Column } from '../text-layout.ts';
import { tokenText } from './mptcp-json.ts';

/** The name of the link that an address or an index belongs to. */
export type LinkOf = (address: string, linkIndex: number) => string | undefined;

/** Bytes of a connection or subflow at one moment. */
interface Meter {
  readonly sent: number;
  readonly received: number;
}

/** One reading of all connections. */
export interface Reading {
  readonly connections: readonly MptcpConnection[];
  /** Milliseconds of a clock that only goes forward. */
  readonly atMs: number;
}

const COLUMNS: readonly Column[] = [
  { title: 'CONNECTION' },
  { title: 'STATE' },
  { title: 'LOCAL' },
  { title: 'REMOTE' },
  { title: 'LINK' },
  { title: 'RTT', align: 'right' },
  { title: 'SENT', align: 'right' },
  { title: 'RECEIVED', align: 'right' },
  { title: 'RATE OUT', align: 'right' },
  { title: 'RATE IN', align: 'right' },
  { title: 'NOTE' },
];

/**
 * Why a connection is plain TCP on the wire. The kernel says only that it is; when it happened tells the rest: a
 * connection whose other end had sent its key had been MPTCP before.
 */
export function fallbackReason(connection: MptcpConnection): string | undefined {
  if (!connection.fallback) return undefined;
  return connection.info.remoteKeyReceived === true
    ? 'plain TCP: data came without MPTCP after the start, so something on the path removes it'
    : 'plain TCP: the other end did not answer with MPTCP, or something on the path removes it';
}

const ms = (us: number | undefined) => (us === undefined ? '' : formatDurationMs(us / 1000));
const bytes = (value: number | undefined) => (value === undefined ? '' : formatBytes(value));

const connectionMeter = ({ info }: MptcpConnection): Meter => ({
  sent: info.bytesSent ?? 0,
  received: info.bytesReceived ?? 0,
});
const subflowMeter = ({ tcp }: Subflow): Meter => ({
  sent: tcp.bytesSent ?? 0,
  received: tcp.bytesReceived ?? 0,
});

const subflowKey = (connection: MptcpConnection, subflow: Subflow) =>
  `${connection.token} ${subflow.localAddress} ${subflow.localPort} ${subflow.remoteAddress} ${subflow.remotePort}`;

/** All meters of a reading by what they belong to. BOUNDED by the reading. */
function metersOf(reading: Reading | undefined): Map<string, Meter> {
  const meters = new Map<string, Meter>();
  for (const connection of reading?.connections ?? []) {
    meters.set(String(connection.token), connectionMeter(connection));
    for (const subflow of connection.subflows) {
      meters.set(subflowKey(connection, subflow), subflowMeter(subflow));
    }
  }
  return meters;
}

type Rates = (key: string, now: Meter) => [out: string, incoming: string];

function ratesSince(earlier: Reading | undefined, later: Reading): Rates {
  const before = metersOf(earlier);
  const seconds = (later.atMs - (earlier?.atMs ?? later.atMs)) / 1000;
  const rate = (grown: number) => (grown <= 0 ? '0 bit/s' : formatBitsPerSecond((grown * 8) / seconds));
  return (key, now) => {
    const then = before.get(key);
    if (then === undefined || seconds <= 0) return ['', ''];
    return [rate(now.sent - then.sent), rate(now.received - then.received)];
  };
}

function subflowNote(subflow: Subflow): string {
  const parts: string[] = [];
  if (subflow.backupLocal && subflow.backupRemote) parts.push('backup');
  else if (subflow.backupLocal) parts.push('backup (asked for here)');
  else if (subflow.backupRemote) parts.push('backup (asked for by the other end)');
  const { timeoutsInRow, totalRetransSegments } = subflow.tcp;
  if (timeoutsInRow !== undefined && timeoutsInRow > 0) {
    parts.push(`no answer, tried ${timeoutsInRow} times again`);
  }
  if (totalRetransSegments !== undefined && totalRetransSegments > 0) {
    parts.push(`${totalRetransSegments} segments sent again`);
  }
  return parts.join(', ');
}

function connectionNote(connection: MptcpConnection): string {
  const reason = fallbackReason(connection);
  if (reason !== undefined) return reason;
  const { subflows, subflowsMax } = connection.info;
  if (subflows === undefined || subflowsMax === undefined || subflowsMax === 0 || subflows < subflowsMax) {
    return '';
  }
  return `limit of ${subflowsMax} additional subflows reached`;
}

function rowsOf(connection: MptcpConnection, linkOf: LinkOf, rates: Rates): string[][] {
  const meter = connectionMeter(connection);
  const rows = [
    [
      connection.fallback ? 'TCP' : tokenText(connection.token),
      connection.state,
      formatSocketAddress(connection.localAddress, connection.localPort),
      formatSocketAddress(connection.remoteAddress, connection.remotePort),
      '',
      '',
      bytes(connection.info.bytesSent),
      bytes(connection.info.bytesReceived),
      ...rates(String(connection.token), meter),
      connectionNote(connection),
    ],
  ];
  for (const [i, subflow] of connection.subflows.entries()) {
    rows.push([
      `${i === connection.subflows.length - 1 ? '└' : '├'} ids ${subflow.localId}→${subflow.remoteId}`,
      subflow.state,
      formatSocketAddress(subflow.localAddress, subflow.localPort),
      formatSocketAddress(subflow.remoteAddress, subflow.remotePort),
      linkOf(subflow.localAddress, subflow.linkIndex) ?? '',
      ms(subflow.tcp.rttUs),
      bytes(subflow.tcp.bytesSent),
      bytes(subflow.tcp.bytesReceived),
      ...rates(subflowKey(connection, subflow), subflowMeter(subflow)),
      subflowNote(subflow),
    ]);
  }
  return rows;
}

const NONE = 'No MPTCP connections in this network namespace.\n';

export function connectionsText(reading: Reading, linkOf: LinkOf, width: number, earlier?: Reading): string {
  if (reading.connections.length === 0) return NONE;
  const rates = ratesSince(earlier, reading);
  const rows = reading.connections.flatMap((connection) => rowsOf(connection, linkOf, rates));
  return `${table(COLUMNS, rows, width)}\n`;
}

/** One object a line. */
export function connectionsJson(reading: Reading, linkOf: LinkOf, time: string): string {
  return reading.connections
    .map((connection) => {
      const subflows = connection.subflows.map((subflow) => ({
        ...subflow,
        link: linkOf(subflow.localAddress, subflow.linkIndex),
      }));
      const { token, ...rest } = connection;
      const fallback = fallbackReason(connection);
      return `${JSON.stringify({ time, token: tokenText(token), ...rest, fallbackReason: fallback, subflows })}\n`;
    })
    .join('');
}
