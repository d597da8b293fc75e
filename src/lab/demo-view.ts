/**
 * The demo as lines of text (pure): the picture that is drawn over and over, the plain lines for where there is no
 * terminal, and the summary. Every character used is one
 * cell wide and one code unit long.
 */
import { formatBitsPerSecond, formatBytes, formatDurationMs } from '../base/units.ts';
import { DemoPhase, type DemoState, type DemoSummary, type DemoUplink } from './demo-state.ts';

export interface ViewOptions {
  /** Characters in a line. */
  readonly width: number;
  readonly color: boolean;
  /** `false` for terminals that do not know UTF-8. */
  readonly unicode: boolean;
}

const Style = { plain: '', bold: '1', dim: '2', red: '31', green: '32', yellow: '33', cyan: '36' } as const;
type Style = (typeof Style)[keyof typeof Style];

/** A line is made of pieces, so that it can be cut to the width before colours are added. */
type Piece = readonly [text: string, style?: Style];

function renderLine(pieces: readonly Piece[], options: ViewOptions): string {
  let left = options.width;
  let line = '';
  for (const [text, style = Style.plain] of pieces) {
    const shown = text.slice(0, left);
    left -= shown.length;
    line += options.color && style !== '' && shown !== '' ? `\u001B[${style}m${shown}\u001B[0m` : shown;
  }
  return line;
}

/** A bar of `cells` characters, filled in eighths where the terminal can. */
function bar(share: number, cells: number, unicode: boolean): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * cells * 8);
  const full = Math.floor(eighths / 8);
  if (!unicode) return '#'.repeat(full).padEnd(cells, '.');
  const part = eighths % 8 === 0 ? '' : String.fromCodePoint(0x2590 - (eighths % 8));
  return ('█'.repeat(full) + part).padEnd(cells, ' ');
}

const SPARKS = { unicode: '▁▂▃▄▅▆▇█', ascii: '_.-=+*%#' } as const;

/** The last `cells` values as one line of bars. */
function sparkline(values: readonly number[], largest: number, cells: number, unicode: boolean): string {
  const sparks = unicode ? SPARKS.unicode : SPARKS.ascii;
  return values
    .slice(-cells)
    .map((value) => sparks[Math.min(7, Math.floor((value / largest) * 8))] ?? sparks[0])
    .join('');
}

const TITLES: Readonly<Record<DemoPhase, string>> = {
  build: 'building',
  single: 'one uplink alone: a plain TCP download',
  start: 'starting "weft up" in the client',
  both: 'a download through the proxy of "weft up": both uplinks',
  cut: 'the first uplink is cut, and nobody is told',
  restored: 'the first uplink is back',
  done: 'done',
};

const ORDER = Object.keys(TITLES) as DemoPhase[];
const reached = (state: DemoState, phase: DemoPhase) => ORDER.indexOf(state.phase) >= ORDER.indexOf(phase);

function uplinkState(uplink: DemoUplink): Piece {
  return uplink.cut ? ['cut', Style.red] : ['up', Style.green];
}

function rateText(rateBps: number): string {
  return formatBitsPerSecond(rateBps).padStart(12);
}

/** What is to be seen, step by step: what is measured stays on the screen. */
function stepLines(state: DemoState): (readonly Piece[])[] {
  const { results } = state;
  const [first] = state.uplinks;
  const step = (phase: DemoPhase, text: string, value: string | undefined): readonly Piece[] => {
    const now = state.phase === phase;
    const mark = now ? '>' : ' ';
    const style = now ? Style.bold : reached(state, phase) ? Style.plain : Style.dim;
    return [
      [` ${mark} ${text.padEnd(40)} `, style],
      [value ?? (now ? '…' : ''), Style.cyan],
    ];
  };
  const bothText =
    results.bothBps === undefined || results.singleBps === undefined
      ? undefined
      : `${formatBitsPerSecond(results.bothBps)}, ${(results.bothBps / results.singleBps).toFixed(2)} times one`;
  const cutText =
    results.stallMs === undefined
      ? undefined
      : `stalled ${formatDurationMs(results.stallMs)}, then ${formatBitsPerSecond(results.cutBps ?? 0)}`;
  const back = results.backAfterMs;
  return [
    step(
      DemoPhase.single,
      `one path: plain TCP over ${first?.name ?? ''}`,
      results.singleBps === undefined ? undefined : formatBitsPerSecond(results.singleBps),
    ),
    step(DemoPhase.both, 'both paths, through weft up', bothText),
    step(DemoPhase.cut, `${first?.name ?? ''} cut in the middle`, cutText),
    step(
      DemoPhase.restored,
      `${first?.name ?? ''} brought back`,
      back === undefined ? undefined : `carries again after ${formatDurationMs(back)}`,
    ),
  ];
}

/** The picture: always the same number of lines. */
export function drawDemo(state: DemoState, options: ViewOptions): string[] {
  const sumBps = state.uplinks.reduce((sum, uplink) => sum + uplink.rateBps, 0);
  const capacityBps = state.uplinks.reduce((sum, uplink) => sum + uplink.capacityBps, 0);
  const nameWidth = Math.max(6, ...state.uplinks.map((uplink) => uplink.name.length));
  const cells = Math.max(8, Math.min(40, options.width - nameWidth - 47));
  const lines: (readonly Piece[])[] = [
    [
      ['weft lab', Style.bold],
      [`  ${formatDurationMs(state.elapsedMs)}  `, Style.dim],
      [TITLES[state.phase], Style.bold],
    ],
    [],
  ];
  for (const uplink of state.uplinks) {
    lines.push([
      [`   ${uplink.name.padEnd(nameWidth)} `],
      [
        bar(uplink.rateBps / uplink.capacityBps, cells, options.unicode),
        uplink.cut ? Style.red : Style.green,
      ],
      [`${rateText(uplink.rateBps)} `],
      [`of ${formatBitsPerSecond(uplink.capacityBps)}, ${uplink.delayMs} ms  `, Style.dim],
      uplinkState(uplink),
    ]);
  }
  lines.push(
    [
      [`   ${'in all'.padEnd(nameWidth)} `, Style.bold],
      [bar(sumBps / capacityBps, cells, options.unicode), Style.cyan],
      [`${rateText(sumBps)} `, Style.bold],
    ],
    [
      [`   ${''.padEnd(nameWidth)} `],
      [sparkline(state.historyBps, capacityBps, options.width - nameWidth - 6, options.unicode), Style.cyan],
    ],
    [],
    ...stepLines(state),
    [],
    state.download === undefined
      ? []
      : [[`   ${formatBytes(state.download.bytes)} of ${formatBytes(state.download.totalBytes)}`, Style.dim]],
  );
  return lines.map((line) => renderLine(line, options));
}

/** One line for a log: without a terminal, once a second. */
export function plainLine(state: DemoState): string {
  const uplinks = state.uplinks.map(
    (uplink) => `${uplink.name} ${formatBitsPerSecond(uplink.rateBps)}${uplink.cut ? ' (cut)' : ''}`,
  );
  const sumBps = state.uplinks.reduce((sum, uplink) => sum + uplink.rateBps, 0);
  const time = `${(state.elapsedMs / 1000).toFixed(1)} s`.padStart(7);
  return `${time}  ${uplinks.join('  ')}  in all ${formatBitsPerSecond(sumBps)}`;
}

export function phaseTitle(phase: DemoPhase): string {
  return TITLES[phase];
}

/** What was found, for the end. */
export function summaryLines(summary: DemoSummary): string[] {
  const [first, second] = summary.uplinks.map(({ name }) => name);
  const rows: [label: string, value: string][] = [
    [`one path (${first}, plain TCP)`, formatBitsPerSecond(summary.singleBps)],
    [
      'both paths (through weft up)',
      `${formatBitsPerSecond(summary.bothBps)}, ${summary.ratio.toFixed(2)} times one path`,
    ],
  ];
  const { backAfterMs, cutBps = 0, stallMs } = summary;
  if (stallMs !== undefined) {
    const back =
      backAfterMs === undefined
        ? 'carried nothing before the download ended'
        : `carried again after ${formatDurationMs(backAfterMs)}`;
    rows.push(
      [
        `stall when ${first} was cut`,
        `${formatDurationMs(stallMs)}, then ${formatBitsPerSecond(cutBps)} over ${second}`,
      ],
      [`${first} when it was back`, back],
    );
  }
  const paths = summary.uplinks.map(({ name, receivedBytes }) => `${name} ${formatBytes(receivedBytes)}`);
  const intact = summary.intact ? 'intact' : 'NOT INTACT';
  rows.push(
    ['bytes per path', paths.join(', ')],
    ['download', `${formatBytes(summary.totalBytes)}, ${intact} (SHA-256 ${summary.sha256.slice(0, 16)}…)`],
  );
  const labelWidth = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(labelWidth)}   ${value}`);
}
