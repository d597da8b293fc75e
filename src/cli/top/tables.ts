/** The tables of `weft top` as lines (pure): paths, tunnels, connections, one connection's subflows, events. */
import { formatSocketAddress } from '../../base/index.ts';
import type {
  ConnectionReading,
  ObservedEvent,
  Overview,
  PathReading,
  SubflowReading,
  TunnelPathReading,
} from '../../service/index.ts';
import {
  bar,
  fit,
  foreign,
  layColumns,
  rowLine,
  titleLine,
  type Cell,
  type Column,
  type Line,
  type Look,
} from './line.ts';
import {
  clockTime,
  eventStyle,
  shortAge,
  shortBytes,
  shortRate,
  shortShare,
  shortTime,
  stateStyle,
} from './words.ts';

const PATH_COLUMNS: readonly Column[] = [
  { title: 'PATH', least: 18, most: 48 },
  { title: 'STATE', least: 7, most: 7 },
  { title: 'DOWN', least: 6, most: 6, align: 'right' },
  { title: '', least: 6, most: 24, rank: 3 },
  { title: 'UP', least: 6, most: 6, align: 'right' },
  { title: '', least: 6, most: 24, rank: 2 },
  { title: 'RTT', least: 6, most: 8, align: 'right' },
  { title: 'LOSS', least: 5, most: 5, align: 'right', rank: 4 },
  { title: 'SUBFLOWS', least: 8, most: 8, align: 'right', rank: 1 },
];
const [DOWN_BAR, UP_BAR] = [3, 5];

const stateCell = (state: PathReading['state']): Cell => [state, stateStyle(state)];

/** Why a path is not active has a line of its own below it. */
function whyLine(why: string | undefined, { unicode, width }: Look): Line[] {
  if (why === undefined) return [];
  return [[[fit(`  ${unicode ? '└' : '-'} ${foreign(why, unicode)}`, width, unicode), 'dim']]];
}

/** @returns one entry a path: its line, and perhaps one more */
export function pathRows({ paths }: Overview, look: Look): { title: Line; rows: Line[][] } {
  const { unicode, width } = look;
  const columns = layColumns(PATH_COLUMNS, width);
  const cellsOf = (at: number) => columns.find((column) => column.at === at)?.width ?? 0;
  const fastest = Math.max(
    1,
    ...paths.flatMap(({ receivedBitsPerSecond, sentBitsPerSecond }) => [
      receivedBitsPerSecond,
      sentBitsPerSecond,
    ]),
  );
  const rows = paths.map((path) => {
    const { receivedBitsPerSecond: down, sentBitsPerSecond: up } = path;
    const cells: Cell[] = [
      [foreign(path.id, unicode)],
      stateCell(path.state),
      [shortRate(down)],
      [bar(down / fastest, cellsOf(DOWN_BAR), unicode), 'cyan'],
      [shortRate(up)],
      [bar(up / fastest, cellsOf(UP_BAR), unicode), 'cyan'],
      [shortTime(path.rttUs)],
      [shortShare(path.lossShare), (path.lossShare ?? 0) >= 0.01 ? 'red' : 'plain'],
      [String(path.subflows)],
    ];
    return [rowLine(cells, columns, unicode), ...whyLine(path.why, look)];
  });
  return { title: titleLine(columns, unicode), rows };
}

const TUNNEL_COLUMNS: readonly Column[] = [
  { title: 'TUNNEL PATH', least: 18, most: 40 },
  { title: 'STATE', least: 7, most: 7 },
  { title: 'DOWN', least: 6, most: 6, align: 'right' },
  { title: 'UP', least: 6, most: 6, align: 'right' },
  { title: 'RTT', least: 6, most: 8, align: 'right' },
  { title: 'JITTER', least: 6, most: 8, align: 'right', rank: 2 },
  { title: 'LOSS', least: 5, most: 5, align: 'right' },
  { title: 'WEIGHT', least: 6, most: 6, align: 'right', rank: 3 },
  { title: 'REMOTE', least: 12, most: 39, rank: 1 },
];

export function tunnelRows({ tunnels }: Overview, look: Look): { title: Line; rows: Line[][] } {
  const { unicode, width } = look;
  const columns = layColumns(TUNNEL_COLUMNS, width);
  const row = (name: string, path: TunnelPathReading): Line[] => {
    const cells: Cell[] = [
      [foreign(name, unicode)],
      stateCell(path.state),
      [shortRate(path.receivedBitsPerSecond)],
      [shortRate(path.sentBitsPerSecond)],
      [shortTime(path.rttUs)],
      [shortTime(path.jitterUs)],
      [shortShare(path.lossShare)],
      [String(path.weight)],
      [foreign(path.remoteAddress, unicode)],
    ];
    return [rowLine(cells, columns, unicode), ...whyLine(path.why, look)];
  };
  const rows = tunnels.flatMap(({ connections, tunnel }) =>
    connections.flatMap(({ name, paths }) =>
      paths.map((path) => row(`${tunnel} ${name} ${path.name}`, path)),
    ),
  );
  return { title: titleLine(columns, unicode), rows };
}

const MARK_CELLS = 2;
const CONNECTION_COLUMNS: readonly Column[] = [
  { title: 'PROGRAM', least: 9, most: 15, rank: 5 },
  { title: 'REMOTE', least: 20, most: 48 },
  { title: 'LINKS', least: 10, most: 24, rank: 6 },
  { title: 'PROTO', least: 5, most: 5 },
  { title: 'SUB', least: 3, most: 3, align: 'right', rank: 4 },
  { title: 'DOWN', least: 6, most: 6, align: 'right' },
  { title: 'UP', least: 6, most: 6, align: 'right' },
  { title: 'BYTES', least: 6, most: 6, align: 'right', rank: 2 },
  { title: 'RTT', least: 6, most: 7, align: 'right' },
  { title: 'RETR', least: 5, most: 6, align: 'right', rank: 1 },
  { title: 'AGE', least: 4, most: 4, align: 'right', rank: 3 },
];

/** What a client asked for says more than the address that it leads to. */
export const remoteOf = ({ remoteAddress, remotePort, target }: ConnectionReading): string =>
  target ?? formatSocketAddress(remoteAddress, remotePort);

export const programOf = ({ owner, pid, program }: ConnectionReading): string =>
  owner === 'program' ? (program ?? (pid === undefined ? '' : String(pid))) : owner;

function connectionCells(row: ConnectionReading, unicode: boolean): Cell[] {
  const fellBack = row.fallbackReason !== undefined;
  return [
    [foreign(programOf(row), unicode)],
    [foreign(remoteOf(row), unicode)],
    [foreign(row.links.join(','), unicode)],
    [row.protocol, fellBack ? 'yellow' : 'plain'],
    [row.protocol === 'mptcp' ? String(row.subflowCount) : ''],
    [shortRate(row.receivedBitsPerSecond)],
    [shortRate(row.sentBitsPerSecond)],
    [shortBytes(row.sentBytes + row.receivedBytes)],
    [shortTime(row.rttUs)],
    [String(row.retransmittedSegments)],
    [shortAge(row.openForMs)],
  ];
}

export function connectionRows(
  rows: readonly ConnectionReading[],
  selectedId: string | undefined,
  look: Look,
): { title: Line; rows: Line[] } {
  const { unicode, width } = look;
  const columns = layColumns(CONNECTION_COLUMNS, width - MARK_CELLS);
  const lines = rows.map((row): Line => {
    const chosen = row.id === selectedId;
    const cells = rowLine(connectionCells(row, unicode), columns, unicode);
    if (!chosen) return [['  '], ...cells];
    return [['> ', 'inverse'], ...cells.map(([text]): readonly [string, 'inverse'] => [text, 'inverse'])];
  });
  return { title: [['  '], ...titleLine(columns, unicode)], rows: lines };
}

const SUBFLOW_COLUMNS: readonly Column[] = [
  { title: 'FROM', least: 18, most: 45 },
  { title: 'TO', least: 18, most: 45, rank: 1 },
  { title: 'LINK', least: 6, most: 15, rank: 4 },
  { title: 'STATE', least: 7, most: 7 },
  { title: 'DOWN', least: 6, most: 6, align: 'right' },
  { title: 'UP', least: 6, most: 6, align: 'right' },
  { title: 'RTT', least: 6, most: 7, align: 'right' },
  { title: 'CWND', least: 5, most: 6, align: 'right' },
  { title: 'RETR', least: 5, most: 6, align: 'right', rank: 3 },
  { title: 'CC', least: 6, most: 8, rank: 2 },
];

export function subflowRows(
  subflows: readonly SubflowReading[],
  look: Look,
): { title: Line; rows: Line[][] } {
  const { unicode, width } = look;
  const columns = layColumns(SUBFLOW_COLUMNS, width);
  const rows = subflows.map((subflow) => {
    const { localAddress, localPort, remoteAddress, remotePort } = subflow;
    const cells: Cell[] = [
      [foreign(formatSocketAddress(localAddress, localPort), unicode)],
      [foreign(formatSocketAddress(remoteAddress, remotePort), unicode)],
      [foreign(subflow.link ?? '', unicode)],
      stateCell(subflow.state),
      [shortRate(subflow.receivedBitsPerSecond)],
      [shortRate(subflow.sentBitsPerSecond)],
      [shortTime(subflow.rttUs)],
      [subflow.windowSegments === undefined ? '' : String(subflow.windowSegments)],
      [subflow.retransmittedSegments === undefined ? '' : String(subflow.retransmittedSegments)],
      [foreign(subflow.congestionControl ?? '', unicode)],
    ];
    return [rowLine(cells, columns, unicode), ...whyLine(subflow.why, look)];
  });
  return { title: titleLine(columns, unicode), rows };
}

/** The newest at the end. */
export function eventRow(event: ObservedEvent, { unicode, width }: Look): Line {
  const head = `${clockTime(event.time)} ${event.kind.padEnd(9)}`;
  return [
    [head, 'dim'],
    [fit(foreign(event.text, unicode), Math.max(0, width - head.length), unicode), eventStyle(event)],
  ];
}
