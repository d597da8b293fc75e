/**
 * Lines of a full-screen picture (pure): pieces with styles, cut to a width before colours are added, and columns that
 * fit a width.
 *
 * Invariant: every character of a line takes one cell and one code unit. What comes from elsewhere goes through
 * `foreign`, which makes it so: nothing in it is obeyed by the terminal, moves the columns or turns the text around.
 */
import { printable } from '../../base/index.ts';

const STYLES = {
  plain: '',
  bold: '1',
  dim: '2',
  inverse: '7',
  red: '31',
  green: '32',
  yellow: '33',
  cyan: '36',
} as const;
export type Style = keyof typeof STYLES;

export type Piece = readonly [text: string, style?: Style];
export type Line = readonly Piece[];

export interface Look {
  /** Cells in a line. */
  readonly width: number;
  readonly color: boolean;
  /** `false` for terminals that do not know UTF-8. */
  readonly unicode: boolean;
}

/** Characters that may take no cell or two, or turn the direction: everything beyond Latin letters. */
const UNSURE = /[\u00ad\u0250-\uffff]/gu;
const BEYOND_PLANE_0 = /[\u{10000}-\u{10ffff}]/gu;

/** Text from elsewhere: names of hosts, programs and links, sentences of other processes. */
export function foreign(text: string, unicode = true): string {
  const safe = printable(text)
    // The house's own sentences have these.
    .replaceAll(/[\u2018\u2019]/g, "'")
    .replaceAll(/[\u201c\u201d]/g, '"')
    .replaceAll(/[\u2013\u2014]/g, '-')
    .replaceAll('\u2026', '...')
    .replaceAll(BEYOND_PLANE_0, '?')
    .replaceAll(UNSURE, '?');
  return unicode ? safe : safe.replaceAll(/[^\u0020-\u007e]/g, '?');
}

/** Cuts what is too long, and shows that it did. */
export function fit(text: string, width: number, unicode: boolean): string {
  if (text.length <= width) return text;
  const mark = unicode ? '…' : '~';
  return width < 1 ? '' : text.slice(0, width - 1) + mark;
}

/** A line with its colours, cut to the width. */
export function renderLine(line: Line, { color, width }: Look): string {
  let left = width;
  let rendered = '';
  for (const [text, style = 'plain'] of line) {
    const shown = text.slice(0, left);
    left -= shown.length;
    rendered +=
      color && style !== 'plain' && shown !== '' ? `\u001B[${STYLES[style]}m${shown}\u001B[0m` : shown;
  }
  return rendered;
}

export const lengthOf = (line: Line): number => line.reduce((sum, [text]) => sum + text.length, 0);

/** A bar of `cells` characters, filled in eighths where the terminal can. */
export function bar(share: number, cells: number, unicode: boolean): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share || 0)) * cells * 8);
  const full = Math.floor(eighths / 8);
  if (!unicode) return '#'.repeat(full).padEnd(cells, ' ');
  const part = eighths % 8 === 0 ? '' : String.fromCodePoint(0x2590 - (eighths % 8));
  return ('█'.repeat(full) + part).padEnd(cells, ' ');
}

export interface Column {
  readonly title: string;
  /** Cells that it needs, and that it can use. */
  readonly least: number;
  readonly most: number;
  readonly align?: 'left' | 'right';
  /** The smallest goes first when there is no room; those without one stay. */
  readonly rank?: number;
}

export interface LaidColumn extends Column {
  /** Its place among all columns. */
  readonly at: number;
  readonly width: number;
}

const GAP = 1;

const leastOf = (columns: readonly Column[]) =>
  columns.reduce((sum, { least }) => sum + least, 0) + GAP * Math.max(0, columns.length - 1);

/** Which columns have room in `width`, and how wide they are: first what each needs, then the rest from the left. */
export function layColumns(columns: readonly Column[], width: number): LaidColumn[] {
  let shown = columns.map((column, at) => ({ ...column, at }));
  while (leastOf(shown) > width) {
    const ranks = shown.flatMap(({ rank }) => (rank === undefined ? [] : [rank]));
    if (ranks.length === 0) break;
    const lowest = Math.min(...ranks);
    shown = shown.filter(({ rank }) => rank !== lowest);
  }
  let spare = Math.max(0, width - leastOf(shown));
  const laid: LaidColumn[] = [];
  for (const column of shown) {
    const more = Math.min(spare, column.most - column.least);
    spare -= more;
    laid.push({ ...column, width: column.least + more });
  }
  return laid;
}

/** One cell of a table: its text, already safe, and how it looks. */
export type Cell = readonly [text: string, style?: Style];

export function rowLine(cells: readonly Cell[], columns: readonly LaidColumn[], unicode: boolean): Line {
  return columns.flatMap(({ align = 'left', at, width }, i): Piece[] => {
    const [text, style] = cells[at] ?? [''];
    const cut = fit(text, width, unicode);
    const padded = align === 'right' ? cut.padStart(width) : cut.padEnd(width);
    const gap: Piece[] = i === 0 ? [] : [[' '.repeat(GAP)]];
    return [...gap, style === undefined ? [padded] : [padded, style]];
  });
}

export function titleLine(columns: readonly LaidColumn[], unicode: boolean): Line {
  const cells: Cell[] = [];
  for (const { at, title } of columns) cells[at] = [title, 'bold'];
  return rowLine(cells, columns, unicode);
}
