/**
 * The INI dialect of MPT's files (pure): sections, keys and values with the numbers of their lines. What they mean is
 * for the other files of this folder. It is not the dialect of mptcpd.conf (service/daemon): that one has escapes and
 * neither quotes nor joined lines.
 *
 *   # comment, ; comment      `#` or `;` as the first character of a line
 *   [Section]                 names of sections and keys are lower-cased
 *   key = value ; comment     stripped; ends before the first `;` or `#`
 *   key = "a;b"  key = 'a;b'  what is quoted is taken as it is
 *   key =                     empty
 *   key = a \                 a backslash at the end joins the next line
 *
 * The original drops what follows a line of more than 1023 bytes; here that is an error, like a line that is none of
 * the above. It also drops a last line that no newline ends; here the line counts, and a remark says so.
 *
 * BOUNDED: by the text, which its reader bounds, and `ISSUES_MAX`.
 */

export interface DialectEntry {
  readonly key: string;
  readonly value: string;
  /** From 1; of a joined line the last, as the original counts. */
  readonly line: number;
}

export interface DialectSection {
  readonly name: string;
  /** Of its first header; 0 for what stands before any header. */
  readonly line: number;
  readonly entries: readonly DialectEntry[];
}

/** What is wrong with a line. */
export interface DialectIssue {
  readonly severity: 'error' | 'warning';
  readonly line: number;
  readonly text: string;
}

export interface DialectFile {
  /** By name; sections of one name are one. Name '' holds what stands before the first header. */
  readonly sections: ReadonlyMap<string, DialectSection>;
  readonly issues: readonly DialectIssue[];
}

/** With the newline. */
export const LINE_BYTES_MAX = 1023;
/** Enough to correct a file, and not a page for a file that is something else. */
export const ISSUES_MAX = 20;

const HEADER = /^\[([^\]]+).*\]$/s;
const DOUBLE_QUOTED = /^([^=]+)=\s*"([^"]+)("?)/s;
const SINGLE_QUOTED = /^([^=]+)=\s*'([^']+)('?)/s;
const PLAIN = /^([^=]+)=\s*([^;#]*)/s;

type Line =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'section'; readonly name: string }
  | { readonly kind: 'entry'; readonly key: string; readonly value: string; readonly unclosed: boolean }
  | { readonly kind: 'malformed' };

function parseLine(text: string): Line {
  if (text === '' || text.startsWith('#') || text.startsWith(';')) return { kind: 'nothing' };
  const header = HEADER.exec(text);
  if (header !== null) return { kind: 'section', name: (header[1] ?? '').trim().toLowerCase() };
  const quoted = DOUBLE_QUOTED.exec(text) ?? SINGLE_QUOTED.exec(text);
  const [, key = '', value = '', end = '"'] = quoted ?? PLAIN.exec(text) ?? [];
  const name = key.trim().toLowerCase();
  if (name === '') return { kind: 'malformed' };
  const stripped = value.trim();
  const empty = quoted === null && (stripped === '""' || stripped === "''");
  return { kind: 'entry', key: name, value: empty ? '' : stripped, unclosed: end === '' };
}

/** UTF-8 bytes, without node:buffer. */
export function byteLength(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}

class DialectReader {
  readonly #sections = new Map<string, { name: string; line: number; entries: DialectEntry[] }>();
  readonly #issues: DialectIssue[] = [];
  #section = '';

  complain(severity: 'error' | 'warning', line: number, text: string): void {
    if (this.#issues.length < ISSUES_MAX) this.#issues.push({ severity, line, text });
  }

  #open(name: string, line: number): DialectEntry[] {
    let section = this.#sections.get(name);
    if (section === undefined) {
      section = { name, line, entries: [] };
      this.#sections.set(name, section);
    }
    return section.entries;
  }

  take(text: string, line: number): void {
    const parsed = parseLine(text);
    if (parsed.kind === 'malformed') {
      // It may hold the key of a connection.
      const shown = /auth|key/i.test(text) ? 'the line' : `"${text}"`;
      this.complain('error', line, `${shown} is neither a comment, a [section] nor KEY = VALUE`);
    } else if (parsed.kind === 'section') {
      this.#section = parsed.name;
      this.#open(parsed.name, line);
    } else if (parsed.kind === 'entry') {
      const { key, value, unclosed } = parsed;
      if (unclosed) this.complain('warning', line, `the quotation of "${key}" is not closed`);
      this.#open(this.#section, this.#section === '' ? 0 : line).push({ key, value, line });
    }
  }

  get file(): DialectFile {
    return { sections: this.#sections, issues: this.#issues };
  }
}

/** Reads a file's text. Everything that can be read is, whatever is wrong elsewhere. */
export function parseDialect(text: string): DialectFile {
  const reader = new DialectReader();
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  let joined = '';
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    const isLast = line === lines.length;
    const content = (joined + raw).trimEnd();
    if (byteLength(joined + raw) + 1 > LINE_BYTES_MAX) {
      reader.complain('error', line, `the line is longer than ${LINE_BYTES_MAX - 1} bytes`);
      joined = '';
      continue;
    }
    if (content.endsWith('\\') && !isLast) {
      joined = content.slice(0, -1);
      continue;
    }
    joined = '';
    const stripped = (content.endsWith('\\') ? content.slice(0, -1) : content).trim();
    if (isLast && stripped !== '') {
      reader.complain('warning', line, 'no newline ends the last line; the original MPT passes it over');
    }
    reader.take(stripped, line);
  }
  return reader.file;
}
