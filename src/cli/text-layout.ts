/**
 * Paragraphs and tables for a terminal of a given width (pure). Nothing is cut: what does not fit goes to the next
 * line, because half an address is worth nothing. Text from the network is made printable first.
 */
import { printable } from '../base/index.ts';

const DEFAULT_WIDTH = 80;
const GAP = 2;

/** Breaks at spaces; a word that is longer than the line is broken where the line ends. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of printable(text).split(' ')) {
    if (line !== '' && line.length + 1 + word.length <= width) {
      line += ` ${word}`;
      continue;
    }
    if (line !== '') lines.push(line);
    while (word.length > width) {
      lines.push(word.slice(0, width));
      word = word.slice(width);
    }
    line = word;
  }
  lines.push(line);
  return lines;
}

/** A wrapped paragraph whose first line starts with `first` and whose others with `rest`. */
export function paragraph(text: string, width: number, first = '', rest = ' '.repeat(first.length)): string {
  return wrap(text, Math.max(1, width - Math.max(first.length, rest.length)))
    .map((line, i) => (i === 0 ? first : rest) + line)
    .join('\n');
}

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly align?: 'left' | 'right';
}

/** Takes from the widest columns until the table fits; a column keeps at least `LEAST` characters. */
function fitWidths(natural: readonly number[], width: number): number[] {
  const LEAST = 4;
  const widths = [...natural];
  let excess = widths.reduce((sum, value) => sum + value, 0) + GAP * (widths.length - 1) - width;
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    const value = widths[widest] ?? 0;
    if (value <= LEAST) break;
    widths[widest] = value - 1;
    excess--;
  }
  return widths;
}

function layRow(cells: readonly string[], columns: readonly Column[], widths: readonly number[]): string[] {
  const pieces = cells.map((cell, i) => wrap(cell, widths[i] ?? 1));
  const height = Math.max(...pieces.map((lines) => lines.length));
  const rows: string[] = [];
  for (let at = 0; at < height; at++) {
    const parts = pieces.map((lines, i) => {
      const text = lines[at] ?? '';
      return columns[i]?.align === 'right' ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0);
    });
    rows.push(parts.join(' '.repeat(GAP)).trimEnd());
  }
  return rows;
}

/** Columns in which no row has anything are left out. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number = DEFAULT_WIDTH,
): string {
  const used = columns.map((_column, i) => i).filter((i) => rows.some((row) => (row[i] ?? '') !== ''));
  const shown = used.map((i) => columns[i] ?? { title: '' });
  const cells = rows.map((row) => used.map((i) => printable(row[i] ?? '')));
  const natural = shown.map(({ title }, i) =>
    Math.max(title.length, ...cells.map((row) => (row[i] ?? '').length)),
  );
  const widths = fitWidths(natural, width);
  const titles = shown.map(({ title }) => title);
  return [titles, ...cells].flatMap((row) => layRow(row, shown, widths)).join('\n');
}

/** How wide to write: as the terminal, within reason; 80 when it is no terminal. */
export function outputWidth(stream: { readonly isTTY?: boolean; readonly columns?: number }): number {
  if (stream.isTTY !== true || stream.columns === undefined) return DEFAULT_WIDTH;
  return Math.min(Math.max(stream.columns, 40), 120);
}
