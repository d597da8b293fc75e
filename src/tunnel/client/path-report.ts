/**
 * What `mpt path` without words answers (pure): each path with what is measured of it, a line a path. Weft's own; the
 * original has nothing like it. Between Weft peers everything is measured, with an original only the rates.
 */

/** What is told of a path; absent: not known. */
export interface PathMeasures {
  readonly interfaceName: string;
  readonly publicAddress: string;
  readonly remoteAddress: string;
  /** As the original's codes have it. */
  readonly status: number;
  readonly rttUs?: number;
  readonly jitterUs?: number;
  /** 0 to 1. */
  readonly lossRatio?: number;
  readonly sentBps: number;
  readonly receivedBps: number;
  readonly mtu: number;
}

export interface MeasuredConnection {
  readonly name: string;
  readonly file: string;
  readonly paths: readonly PathMeasures[];
}

const TITLES = ['path', 'interface', 'public', 'remote', 'status', 'rtt ms', 'jitter ms', 'loss %'] as const;
const RATE_TITLES = ['out Mbit/s', 'in Mbit/s', 'mtu'] as const;
/** Columns from here on are numbers. */
const FIRST_NUMBER = 4;
const UNKNOWN = '-';

const milliseconds = (us: number | undefined): string =>
  us === undefined ? UNKNOWN : (us / 1000).toFixed(3);
const percent = (ratio: number | undefined): string =>
  ratio === undefined ? UNKNOWN : (ratio * 100).toFixed(2);
const megabits = (bps: number): string => (bps / 1e6).toFixed(2);

function row(path: PathMeasures, index: number): string[] {
  return [
    String(index),
    path.interfaceName,
    path.publicAddress,
    path.remoteAddress,
    String(path.status),
    milliseconds(path.rttUs),
    milliseconds(path.jitterUs),
    percent(path.lossRatio),
    megabits(path.sentBps),
    megabits(path.receivedBps),
    String(path.mtu),
  ];
}

function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  const pad = (cell: string, column: number) =>
    column < FIRST_NUMBER ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return rows.map((cells) => `  ${cells.map(pad).join('  ')}`.trimEnd());
}

/** `Connection NAME (FILE)` and a table of its paths, for each connection. Begins and ends with an end of line. */
export function formatPathReport(connections: readonly MeasuredConnection[]): string {
  const blocks = connections.map(({ name, file, paths }) =>
    [`Connection ${name} (${file})`, ...formatTable([[...TITLES, ...RATE_TITLES], ...paths.map(row)])].join(
      '\n',
    ),
  );
  return `\n${blocks.length === 0 ? 'No connections' : blocks.join('\n\n')}\n`;
}
