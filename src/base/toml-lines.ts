/**
 * On which line of a TOML document each key stands (pure), which parsers do not tell. For documents that a parser
 * has accepted; of tables in tables, and of keys with dots, the line of the beginning is told.
 */

/**
 * `table` and, of `[[table]]`, which one, from 0; the root is ''. A table in a table, `[table.below]`, is found by its
 * whole name as well.
 */
export interface TomlLines {
  /** From 1; of a key that is not found, its table's. */
  lineOf(table: string, index: number, key?: string): number;
}

const HEADER = /^\s*(\[\[?)\s*"?([\w-]+)"?(?:\s*\.\s*(?:"([^"]*)"|'([^']*)'|([\w-]+)))?/;
const KEY = /^\s*["']?([\w-]+)["']?\s*[=.]/;

/** What ends a value that reaches over several lines. */
type Open = '"""' | "'''" | '';

interface Scan {
  readonly open: Open;
  /** Of brackets and braces. */
  readonly depth: number;
}

/** Reads one line of a value. */
function scanLine(line: string, { open: openBefore, depth: depthBefore }: Scan): Scan {
  let open: Open | '"' | "'" = openBefore;
  let depth = depthBefore;
  for (let i = 0; i < line.length; i++) {
    const character = line[i];
    if (open !== '') {
      if (character === '\\' && open.startsWith('"')) i++;
      else if (line.startsWith(open, i)) {
        i += open.length - 1;
        open = '';
      }
      continue;
    }
    if (character === '#') break;
    if (character === '"' || character === "'") {
      open = character;
      const long = character === '"' ? '"""' : "'''";
      if (line.startsWith(long, i)) {
        open = long;
        i += 2;
      }
    }
    if (character === '[' || character === '{') depth++;
    if (character === ']' || character === '}') depth--;
  }
  return { open: open.length === 3 ? (open as Open) : '', depth };
}

export function tomlLines(text: string): TomlLines {
  const found = new Map<string, number>();
  const counts = new Map<string, number>();
  let table = '';
  let index = 0;
  /** Whole name of the table in a table that the line belongs to. */
  let below: string | undefined;
  let scan: Scan = { open: '', depth: 0 };
  for (const [at, line] of text.split('\n').entries()) {
    if (scan.open === '' && scan.depth === 0) {
      const header = HEADER.exec(line);
      if (header !== null) {
        table = header[2] ?? '';
        const last = header[3] ?? header[4] ?? header[5];
        below = last === undefined ? undefined : `${table}.${last}`;
        if (below !== undefined && !found.has(`${below} 0`)) found.set(`${below} 0`, at + 1);
        // `[table.below]` belongs to the last `[[table]]`.
        const next = counts.get(table) ?? 0;
        const begins = header[1] === '[[' || next === 0;
        index = begins ? next : next - 1;
        if (begins) {
          counts.set(table, next + 1);
          found.set(`${table} ${index}`, at + 1);
        }
      } else {
        const key = KEY.exec(line)?.[1];
        const place = `${table} ${index} ${key}`;
        if (key !== undefined && !found.has(place)) found.set(place, at + 1);
        const placeBelow = `${below} 0 ${key}`;
        if (key !== undefined && below !== undefined && !found.has(placeBelow)) found.set(placeBelow, at + 1);
      }
    }
    scan = scanLine(line, scan);
  }
  return {
    lineOf: (name, which, key) =>
      found.get(`${name} ${which} ${key}`) ??
      // A table is a key of the root.
      (name === '' ? found.get(`${key} 0`) : undefined) ??
      found.get(`${name} ${which}`) ??
      // Written as `table = [{ … }]` or `table.key = …`.
      found.get(` 0 ${name}`) ??
      1,
  };
}
