/** Reads test/data/ip-mptcp-lines.txt, whose head describes its form. */
import { readFileSync } from 'node:fs';

/** What a program did. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Line {
  /** As it stands in the file; the name of its test. */
  readonly text: string;
  /** Words of ip that prepare the namespace. */
  readonly given: readonly (readonly string[])[];
  readonly environment: Readonly<Record<string, string>>;
  readonly words: readonly string[];
  readonly input: string;
  /** Words of ip that show the state afterwards. */
  readonly afterwards?: readonly string[];
  /** What iproute2 7.1 does where 6.1 does something else. */
  readonly seven?: Outcome;
}

export interface Section {
  readonly title: string;
  readonly lines: Line[];
}

/** The usage of iproute2 7.1, recorded. */
export const USAGE_7_1 = [
  'Usage:\tip mptcp endpoint add ADDRESS [ dev NAME ] [ id ID ]',
  '\t\t\t\t      [ port NR ] [ FLAG-LIST ]',
  '\tip mptcp endpoint delete id ID [ ADDRESS ]',
  '\tip mptcp endpoint change [ id ID ] [ ADDRESS ] [ port NR ] CHANGE-OPT',
  '\tip mptcp endpoint show [ id ID ]',
  '\tip mptcp endpoint flush',
  '\tip mptcp limits set [ subflows NR ] [ add_addr_accepted NR ]',
  '\tip mptcp limits show',
  '\tip mptcp monitor',
  'FLAG-LIST := [ FLAG-LIST ] FLAG',
  'FLAG  := [ signal | subflow | laminar | backup | fullmesh ]',
  'CHANGE-OPT := [ backup | nobackup | fullmesh | nofullmesh ]',
  '',
].join('\n');

function parseWords(text: string): string[] {
  const trimmed = text.trim();
  if (trimmed.startsWith('[')) return JSON.parse(trimmed) as string[];
  return trimmed.split(/\s+/).filter((word) => word !== '');
}

/** `code 255 err USAGE`, `out "…" err "…"` */
function parseOutcome(text: string): Outcome {
  const outcome = { code: 0, out: '', err: '' };
  const part = /\s*(code|out|err)\s+("(?:[^"\\]|\\.)*"|\S+)/y;
  for (let match = part.exec(text); match !== null; match = part.exec(text)) {
    const [, name, value = ''] = match;
    const parsed: unknown = value === 'USAGE' ? USAGE_7_1 : JSON.parse(value);
    if (name === 'code') outcome.code = Number(parsed);
    else outcome[name as 'out' | 'err'] = String(parsed);
  }
  return outcome;
}

/** The text before and after a separator that may be missing. */
function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

function parseLine(text: string, seven: Outcome | undefined): Line {
  const [head, rest] = cut(text, ' ||| ');
  const [command, afterwards] = cut(rest ?? head, ' >>> ');
  const [words, input] = cut(command, ' <<< ');
  const preparations = rest === undefined ? [] : head.split(' ;; ');
  const environment = preparations
    .filter((entry) => entry.startsWith('!'))
    .map((entry) => cut(entry.slice(1), '='));
  return {
    text,
    given: preparations.filter((entry) => !entry.startsWith('!')).map(parseWords),
    environment: Object.fromEntries(environment.map(([name, value]) => [name, value ?? ''])),
    words: parseWords(words),
    input: input === undefined ? '' : (JSON.parse(input) as string),
    ...(afterwards === undefined ? {} : { afterwards: parseWords(afterwards) }),
    ...(seven === undefined ? {} : { seven }),
  };
}

export function readSections(): Section[] {
  const file = readFileSync(new URL('../data/ip-mptcp-lines.txt', import.meta.url), 'utf8').split('\n');
  const sections: Section[] = [];
  for (const [i, text] of file.entries()) {
    if (text.startsWith('## ')) sections.push({ title: text.slice(3), lines: [] });
    if (text === '' || text.startsWith('#') || text.startsWith('    ')) continue;
    const next = file[i + 1] ?? '';
    const seven = next.startsWith('    ') ? parseOutcome(next) : undefined;
    sections.at(-1)?.lines.push(parseLine(text, seven));
  }
  return sections;
}
