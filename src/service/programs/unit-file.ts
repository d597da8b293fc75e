/**
 * Unit files of systemd as far as `weft enable` reads and writes them (pure): assignments in their order, the words of
 * `Environment=`, unit names. Values keep their specifiers (`%h`) as they stand.
 *
 * References: systemd.syntax(7), systemd.exec(5) "Environment", systemd.unit(5).
 */

export interface Assignment {
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

/** The assignments of a file. What systemd would not understand is left out. */
export function parseUnitFile(text: string): Assignment[] {
  const assignments: Assignment[] = [];
  let section = '';
  let begun = '';
  for (const line of text.split(/\r?\n/)) {
    // A comment between continued lines does not end them.
    if (/^\s*[#;]/.test(line)) continue;
    if (line.endsWith('\\')) {
      begun += `${line.slice(0, -1)} `;
      continue;
    }
    const whole = (begun + line).trim();
    begun = '';
    const head = /^\[([^\]]+)\]$/.exec(whole);
    const equals = whole.indexOf('=');
    if (head !== null) section = head[1] ?? '';
    else if (equals > 0) {
      assignments.push({
        section,
        key: whole.slice(0, equals).trimEnd(),
        value: whole.slice(equals + 1).trimStart(),
      });
    }
  }
  return assignments;
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  s: ' ',
};

function unescape(text: string): string {
  const pattern = /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|([0-7]{3})|(.))/gi;
  return text.replaceAll(
    pattern,
    (_all, hex?: string, wide?: string, octal?: string, letter?: string): string => {
      if (letter !== undefined) return ESCAPES[letter] ?? letter;
      return String.fromCodePoint(
        octal === undefined ? parseInt(hex ?? wide ?? '0', 16) : parseInt(octal, 8),
      );
    },
  );
}

/** The words of a value, which may be quoted in whole or in part. */
export function splitWords(value: string): string[] {
  const words: string[] = [];
  for (const [word] of value.matchAll(/(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|[^\s"'\\])+/g)) {
    words.push(
      word.replaceAll(
        /"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|((?:\\.|[^"'\\])+)/g,
        (_all, double?: string, single?: string, bare?: string) => unescape(double ?? single ?? bare ?? ''),
      ),
    );
  }
  return words;
}

/** One assignment of `Environment=`, in quotes. The value's specifiers are systemd's to resolve. */
export function formatEnvironment(name: string, value: string): string {
  const text = `${name}=${value}`.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll('\n', String.raw`\n`);
  return `Environment="${text}"`;
}

/** A text of ours in a value in which `%` begins a specifier. */
export const escapeSpecifiers = (text: string): string => text.replaceAll('%', '%%');

/** The variables that `Environment=` lines set in the end; an empty one takes back those before it. */
export function environmentOf(assignments: readonly Assignment[]): Map<string, string> {
  const variables = new Map<string, string>();
  for (const { section, key, value } of assignments) {
    if (section !== 'Service' || key !== 'Environment') continue;
    if (value === '') variables.clear();
    for (const word of splitWords(value)) {
      const equals = word.indexOf('=');
      if (equals > 0) variables.set(word.slice(0, equals), word.slice(equals + 1));
    }
  }
  return variables;
}

/** The values of one key; an empty assignment takes back those before it. */
export function valuesOf(assignments: readonly Assignment[], section: string, key: string): string[] {
  let values: string[] = [];
  for (const assignment of assignments) {
    if (assignment.section !== section || assignment.key !== key) continue;
    values = assignment.value === '' ? [] : [...values, assignment.value];
  }
  return values;
}

export type UnitType = 'service' | 'socket';

/** systemd's own limit for names. */
const NAME_MAX = 255;
const SUFFIXES = 'service|socket|device|mount|automount|swap|target|path|timer|slice|scope';
const WITH_SUFFIX = new RegExp(String.raw`^[A-Za-z0-9:_.\\@-]+\.(${SUFFIXES})$`);

/** Returns what is wrong, as text. A name without a suffix is a service's, as for systemctl. */
export function parseUnitName(text: string): { readonly name: string; readonly type: UnitType } | string {
  const name = WITH_SUFFIX.test(text) ? text : `${text}.service`;
  const match = WITH_SUFFIX.exec(name);
  if (match === null || name.startsWith('.') || name.length > NAME_MAX) return 'it is no name of a unit';
  const type = match[1];
  if (type !== 'service' && type !== 'socket') return 'only services and sockets can have MPTCP';
  return { name, type };
}
