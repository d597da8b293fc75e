/**
 * The syntax of the configuration file (pure): sections in brackets, `KEY = VALUE` lines, comments that begin with `#`
 * or `;`. What the sections and keys mean is config-file.ts's.
 *
 * Values know the escapes that mptcpd's file has: `\s` space, `\t`, `\n`, `\r`, `\\`. Space around a value does not
 * count. Every entry keeps the number of its line, for the messages.
 *
 * BOUNDED: by the size of the file, which its reader bounds, and `PROBLEMS_MAX`.
 */

export interface IniEntry {
  readonly key: string;
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

export interface IniSection {
  /** What stands between the brackets, space around it left out. */
  readonly name: string;
  readonly line: number;
  readonly entries: readonly IniEntry[];
}

export interface ConfigProblem {
  readonly line: number;
  /** What is wrong, without file and line. */
  readonly text: string;
}

export interface IniFile {
  readonly sections: readonly IniSection[];
  readonly problems: readonly ConfigProblem[];
}

/** Enough to correct a file, and not a page for a file that is something else. */
export const PROBLEMS_MAX = 20;

const ESCAPES: Readonly<Record<string, string>> = { s: ' ', t: '\t', n: '\n', r: '\r', '\\': '\\' };

/** `undefined` when it holds an escape that nobody knows. */
function unescapeValue(text: string): string | undefined {
  let known = true;
  const value = text.replaceAll(/\\(.?)/gs, (_all, letter: string) => {
    const character = ESCAPES[letter];
    known &&= character !== undefined;
    return character ?? '';
  });
  return known ? value : undefined;
}

/** Brackets inside belong to a pattern: `[interface eth[0-3]]`. */
const SECTION = /^\[(.*)\]$/s;
const ENTRY = /^([^=\s[\]]+)\s*=\s*(.*)$/s;

/** Reads a file's text. Everything that can be read is, whatever is wrong elsewhere. */
export function parseIni(text: string): IniFile {
  const sections: { name: string; line: number; entries: IniEntry[] }[] = [];
  /** Where entries go: nowhere before the first section, and into nothing after one that cannot be read. */
  let entries: IniEntry[] | undefined;
  const problems: ConfigProblem[] = [];
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    const content = raw.trim();
    if (content === '' || content.startsWith('#') || content.startsWith(';')) continue;
    const complain = (what: string) => {
      if (problems.length < PROBLEMS_MAX) problems.push({ line, text: what });
    };
    if (content.startsWith('[')) {
      const [, name] = SECTION.exec(content) ?? [];
      entries = [];
      if (name === undefined) complain(`"${content}" is not a section: it has the form [NAME]`);
      else sections.push({ name: name.trim(), line, entries });
      continue;
    }
    const [, key, escaped = ''] = ENTRY.exec(content) ?? [];
    const value = unescapeValue(escaped);
    if (key === undefined) complain(`"${content}" is neither a section nor KEY = VALUE`);
    else if (value === undefined) complain(`"${key}" has an unknown escape: write "\\\\" for a backslash`);
    else if (entries === undefined) complain(`"${key}" stands before the first section, such as [core]`);
    else entries.push({ key, value, line });
  }
  return { sections, problems };
}
