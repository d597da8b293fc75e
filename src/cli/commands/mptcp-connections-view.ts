/**
 * The text of `weft mptcp connections` (pure): one row for each connection, one below it for each subflow. Rates
 * appear when there is an earlier reading to compare with.
 */
import {
  formatBitsPerSecond,
  formatBytes,
  formatDurationMs,
  formatSocketAddress,
  printable,
} from '../../base/index.ts';
import type { MptcpConnection, Subflow } from '../../mptcp/index.ts';
import { paragraph } from '../text-layout.ts';
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

const TITLES = ['CONNECTION', 'RTT', 'SENT', 'RECEIVED', 'OUT', 'IN', 'FROM → TO'];
const GAP = '  ';
/** Where what does not fit beside the numbers goes. */
const INDENT = ' '.repeat(6);

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
  const rate = (grown: number) => (grown <= 0 ? '-' : formatBitsPerSecond((grown * 8) / seconds));
  return (key, now) => {
    const then = before.get(key);
    if (then === undefined || seconds <= 0) return ['', ''];
    return [rate(now.sent - then.sent), rate(now.received - then.received)];
  };
}

/** What is out of the ordinary. */
function subflowNote(subflow: Subflow): string {
  const parts: string[] = [];
  if (subflow.state !== 'established') parts.push(subflow.state);
  if (subflow.backupLocal && subflow.backupRemote) parts.push('backup');
  else if (subflow.backupLocal) parts.push('backup (asked for here)');
  else if (subflow.backupRemote) parts.push('backup (asked for by the other end)');
  const { timeoutsInRow, totalRetransSegments } = subflow.tcp;
  if (timeoutsInRow !== undefined && timeoutsInRow > 0) parts.push(`no answer to ${timeoutsInRow} tries`);
  if (totalRetransSegments !== undefined && totalRetransSegments > 0) {
    parts.push(`${totalRetransSegments} ${totalRetransSegments === 1 ? 'segment' : 'segments'} sent again`);
  }
  return parts.join(', ');
}

function connectionNote(connection: MptcpConnection): string {
  const parts: string[] = [];
  if (connection.state !== 'established') parts.push(connection.state);
  const reason = fallbackReason(connection);
  if (reason !== undefined) parts.push(reason);
  const { subflows, subflowsMax } = connection.info;
  if (subflows !== undefined && subflowsMax !== undefined && subflowsMax > 0 && subflows >= subflowsMax) {
    parts.push(`the limit of ${subflowsMax} additional subflows is reached`);
  }
  return parts.join(', ');
}

/** A connection or subflow: the cells of its line, and what stands below them. */
interface Row {
  readonly cells: readonly string[];
  readonly note: string;
}

interface Ends {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

const endsText = (ends: Ends) =>
  `${formatSocketAddress(ends.localAddress, ends.localPort)} → ${formatSocketAddress(ends.remoteAddress, ends.remotePort)}`;

function rowsOf(connection: MptcpConnection, linkOf: LinkOf, rates: Rates): Row[] {
  const meter = connectionMeter(connection);
  const rows: Row[] = [
    {
      cells: [
        tokenText(connection.token),
        '',
        bytes(connection.info.bytesSent),
        bytes(connection.info.bytesReceived),
        ...rates(String(connection.token), meter),
        endsText(connection),
      ],
      note: connectionNote(connection),
    },
  ];
  for (const subflow of connection.subflows) {
    rows.push({
      cells: [
        `  ${linkOf(subflow.localAddress, subflow.linkIndex) ?? 'no link'}`,
        ms(subflow.tcp.rttUs),
        bytes(subflow.tcp.bytesSent),
        bytes(subflow.tcp.bytesReceived),
        ...rates(subflowKey(connection, subflow), subflowMeter(subflow)),
        endsText(subflow),
      ],
      note: subflowNote(subflow),
    });
  }
  return rows;
}

/** Numbers at the right, the ends of the line's subject after them, or below when the line is too short. */
function layRow({ cells, note }: Row, widths: readonly number[], width: number): string[] {
  const numbers = widths.slice(0, -1);
  const shown = numbers.map((size, i) =>
    i === 0 ? (cells[0] ?? '').padEnd(size) : (cells[i] ?? '').padStart(size),
  );
  const line = shown.filter((_cell, i) => (numbers[i] ?? 0) > 0).join(GAP);
  const ends = cells.at(-1) ?? '';
  const fits = line.length + GAP.length + ends.length <= width;
  const lines = fits ? [`${line}${GAP}${ends}`] : [line, `${INDENT}${ends}`];
  if (note !== '') lines.push(...paragraph(note, width, INDENT).split('\n'));
  return lines.map((text) => text.trimEnd());
}

const NONE = 'No MPTCP connections in this network namespace.\n';

export function connectionsText(reading: Reading, linkOf: LinkOf, width: number, earlier?: Reading): string {
  if (reading.connections.length === 0) return NONE;
  const rates = ratesSince(earlier, reading);
  const rows = reading.connections.flatMap((connection) => rowsOf(connection, linkOf, rates));
  // A column in which nothing stands is left out.
  const widths = TITLES.map((title, i) => {
    const widest = Math.max(...rows.map(({ cells }) => (cells[i] ?? '').length));
    return widest === 0 ? 0 : Math.max(title.length, widest);
  });
  const lines = [{ cells: TITLES, note: '' }, ...rows].flatMap((row) => layRow(row, widths, width));
  return `${lines.map(printable).join('\n')}\n`;
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
