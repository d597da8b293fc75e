/**
 * Reads the file of the plugin `policy` (pure): TOML, format in docs/policy.md. Finds every mistake, not only the
 * first, with its line and what was probably meant.
 */
import { parse, TomlError, type TomlValue } from 'smol-toml';
import {
  canonicalIp,
  isTable,
  isWhole,
  nearestWord,
  parseIp,
  shown,
  TableReader,
  tomlLines,
  type Prefix,
  type Table,
  type TomlLines,
  type TomlMistake,
} from '../../base/index.ts';
import type { Policy, PolicyRule, PortRange } from './policy-rules.ts';

export interface ReadPolicy {
  /** Absent when there are mistakes. */
  readonly policy?: Policy;
  readonly mistakes: readonly TomlMistake[];
}

/** The host's users, by name. */
export type Users = ReadonlyMap<string, number>;

const MAX_RULES = 1000;
const UID_MAX = 0xffff_fffe;

const CONDITIONS = ['to', 'port', 'uid', 'cgroup', 'side'];
export const RULE_KEYS: readonly string[] = [
  'name',
  ...CONDITIONS,
  'interfaces',
  'backup',
  'subflows',
  'maximum',
  'reestablish',
  'announce',
  'create',
];

const DEFAULTS = { subflows: 1, maximum: 8, reestablish: true, announce: false } as const;

function readPrefix(item: TomlValue): Prefix | undefined {
  if (typeof item !== 'string') return undefined;
  const [text = '', length, ...rest] = item.split('/');
  const address = canonicalIp(text);
  if (address === undefined || rest.length > 0) return undefined;
  const bits = (parseIp(address)?.length ?? 0) * 8;
  if (length === undefined) return { address, length: bits };
  return /^\d{1,3}$/.test(length) && Number(length) <= bits ? { address, length: Number(length) } : undefined;
}

function readPorts(item: TomlValue): PortRange | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(
    typeof item === 'string' ? item : isWhole(item) ? String(item) : '',
  );
  const first = Number(match?.[1] ?? NaN);
  const last = Number(match?.[2] ?? first);
  return first >= 1 && first <= last && last <= 65_535 ? { first, last } : undefined;
}

const readPattern = (item: TomlValue) => (typeof item === 'string' && item !== '' ? item : undefined);

function allowedUser(item: TomlValue, users: Users): string {
  const near = typeof item === 'string' ? nearestWord(item, [...users.keys()]) : undefined;
  return near === undefined ? 'a user id, or the name of a user of this host' : `did you mean "${near}"?`;
}

function readPatterns(reader: TableReader, key: string): string[] | undefined {
  return reader.list(key, 'a name of a link, or a pattern such as "eth*"', readPattern);
}

function readRule(reader: TableReader, number: number, users: Users): PolicyRule {
  reader.checkKeys(RULE_KEYS);
  const to = reader.list('to', 'an address or a prefix such as "192.0.2.0/24"', readPrefix);
  const port = reader.list('port', 'a port, or a range such as "8000-8999"', readPorts);
  const uid = reader.list(
    'uid',
    (item) => allowedUser(item, users),
    (item) => {
      if (typeof item === 'string') return users.get(item);
      return isWhole(item) && item >= 0 && item <= UID_MAX ? item : undefined;
    },
  );
  const cgroup = reader
    .list('cgroup', 'a path or a pattern that begins with "/", such as "/system.slice/*"', (item) =>
      typeof item === 'string' && item.startsWith('/') ? item : undefined,
    )
    ?.map((item) => (item.length > 1 && item.endsWith('/') ? item.slice(0, -1) : item));
  const side = reader.value('side');
  if (side !== undefined && side !== 'client' && side !== 'server') {
    reader.wrong(`side: ${shown(side)} is neither "client" nor "server"`, 'side');
  }
  const interfaces = readPatterns(reader, 'interfaces');
  const create = reader.boolean('create');
  return {
    name: reader.text('name') ?? `rule ${number}`,
    line: reader.line,
    ...(to === undefined ? {} : { to }),
    ...(port === undefined ? {} : { port }),
    ...(uid === undefined ? {} : { uid }),
    ...(cgroup === undefined ? {} : { cgroup }),
    ...(side === 'client' || side === 'server' ? { side } : {}),
    ...(interfaces === undefined ? {} : { interfaces }),
    backup: readPatterns(reader, 'backup') ?? [],
    subflows: reader.integer('subflows', 0, 255) ?? DEFAULTS.subflows,
    maximum: reader.integer('maximum', 1, 255) ?? DEFAULTS.maximum,
    reestablish: reader.boolean('reestablish') ?? DEFAULTS.reestablish,
    announce: reader.boolean('announce') ?? DEFAULTS.announce,
    ...(create === undefined ? {} : { create }),
  };
}

function readDocument(document: Table, lines: TomlLines, users: Users, mistakes: TomlMistake[]): Policy {
  const root = new TableReader(document, lines, ['', 0], mistakes);
  root.checkKeys(['rule', 'retry']);
  const retryTable = root.value('retry') ?? {};
  if (!isTable(retryTable)) root.wrong('retry: this is not a table — write [retry]', 'retry');
  const retry = new TableReader(isTable(retryTable) ? retryTable : {}, lines, ['retry', 0], mistakes);
  retry.checkKeys(['first', 'longest']);
  const tables = root.value('rule') ?? [];
  const rules: PolicyRule[] = [];
  if (!Array.isArray(tables) || !tables.every(isTable)) {
    root.wrong('rule: this is not a list of tables — write [[rule]] above each rule', 'rule');
  } else {
    if (tables.length === 0 && mistakes.length === 0)
      root.wrong('there is no rule — write [[rule]] above each rule');
    if (tables.length > MAX_RULES) root.wrong(`there are more than ${MAX_RULES} rules`, 'rule');
    let everything: PolicyRule | undefined;
    for (const [index, table] of tables.entries()) {
      const reader = new TableReader(table, lines, ['rule', index], mistakes);
      const rule = readRule(reader, index + 1, users);
      if (everything !== undefined) {
        reader.wrong(
          `rule "${rule.name}" is never reached — rule "${everything.name}" (line ${everything.line}) is for every connection`,
        );
        break;
      }
      if (!CONDITIONS.some((key) => reader.has(key))) everything = rule;
      rules.push(rule);
    }
  }
  return {
    rules,
    firstRetryMs: retry.durationMs('first') ?? 1000,
    longestRetryMs: retry.durationMs('longest') ?? 60_000,
  };
}

/** The parser's words without the excerpt that it adds. */
function syntaxMistake(error: TomlError): TomlMistake {
  const [first = ''] = error.message.split('\n');
  const why = first.replace(/^Invalid TOML document: /, '');
  return { line: error.line, text: `not TOML: ${why} (column ${error.column})` };
}

export function readPolicy(text: string, users: Users): ReadPolicy {
  let document: Table;
  try {
    document = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return { mistakes: [syntaxMistake(error)] };
  }
  const mistakes: TomlMistake[] = [];
  const policy = readDocument(document, tomlLines(text), users, mistakes);
  if (mistakes.length === 0) return { policy, mistakes };
  return { mistakes: mistakes.toSorted((a, b) => a.line - b.line) };
}
