/**
 * Reads the text of the proxy's rules file (pure): TOML, format in docs/proxy.md. Finds every mistake, not only the
 * first, with its line and what was probably meant. Files that it names are read elsewhere (proxy-rules.ts).
 *
 * Invariant: no mistake's text holds a password, a token or a password's verifier.
 */
import { parse, TomlError, type TomlValue } from 'smol-toml';
import {
  isTable,
  nearestWord,
  shown,
  TableReader,
  tomlLines,
  type Table,
  type TomlLines,
  type TomlMistake,
} from '../base/index.ts';
import {
  MAX_RULES,
  MAX_UPSTREAMS,
  MAX_USERS,
  parseUpstreamUrl,
  parseVerifier,
  type ClientLimits,
  type ParsedUpstreamUrl,
  type ProxyRule,
  type UserSettings,
  type Way,
} from '../proxy/index.ts';
import {
  FROM_HINT,
  PORT_HINT,
  readClients,
  readDestination,
  readPorts,
  TO_HINT,
  type Destinations,
} from './proxy-rules-values.ts';

/** An upstream proxy as the file describes it, with the names of its files. */
export interface UpstreamEntry extends ParsedUpstreamUrl {
  readonly name: string;
  readonly line: number;
  readonly multipath?: boolean;
  readonly tokenFile?: string;
  readonly passwordFile?: string;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface RulesDocument {
  readonly rules: readonly ProxyRule[];
  readonly upstreams: readonly UpstreamEntry[];
  readonly users: ReadonlyMap<string, UserSettings>;
  readonly limits: ClientLimits;
  /** Absent: the file does not say. */
  readonly defaultWay?: Way;
  /** It holds what not everybody may read. */
  readonly hasSecrets: boolean;
}

export interface ReadRules {
  /** Absent when there are mistakes. */
  readonly document?: RulesDocument;
  readonly mistakes: readonly TomlMistake[];
}

export const ROOT_KEYS: readonly string[] = ['default', 'rule', 'upstream', 'user', 'limits'];
const CONDITIONS = ['to', 'port', 'from', 'user'];
export const RULE_KEYS: readonly string[] = [...CONDITIONS, 'way', 'reason'];
export const UPSTREAM_KEYS: readonly string[] = [
  'url',
  'token_file',
  'password_file',
  'ca_file',
  'cert_file',
  'key_file',
  'multipath',
];
export const USER_KEYS: readonly string[] = ['password'];
export const LIMIT_KEYS: readonly string[] = ['connections', 'tunnels', 'new_per_second'];
const PLAIN_WAYS = ['direct', 'multipath', 'refuse'] as const;

const MAX_LIMIT = 1_000_000;
const LONGEST_REASON = 200;
const UPSTREAM_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** RFC 7617: no colon; RFC 1929: one byte counts it. */
const USER_NAME = /^[^\p{Cc}:]{1,64}$/u;

interface Context {
  readonly lines: TomlLines;
  readonly mistakes: TomlMistake[];
  /** Names that `way` may have beside the plain ones. */
  readonly upstreams: readonly string[];
  readonly users: readonly string[];
}

function isRefused(item: unknown): item is { readonly reason: string } {
  return typeof item === 'object' && item !== null && 'reason' in item;
}

/** A list whose members a reader may refuse with a reason of its own. */
function listOf<T>(
  reader: TableReader,
  key: string,
  hint: string,
  read: (item: unknown) => T | { readonly reason: string } | undefined,
): T[] | undefined {
  const result = reader.list<T | { readonly reason: string }>(key, hint, read);
  const good: T[] = [];
  for (const item of result ?? []) {
    if (isRefused(item)) reader.wrong(`${key}: ${item.reason}`, key);
    else good.push(item);
  }
  return result === undefined ? undefined : good;
}

function readWay(reader: TableReader, key: string, { upstreams }: Context): Way | undefined {
  const value = reader.value(key);
  if (value === undefined) return undefined;
  const known = [...PLAIN_WAYS, ...upstreams];
  if (typeof value === 'string') {
    if (upstreams.includes(value)) return { kind: 'upstream', upstream: value };
    const plain = PLAIN_WAYS.find((way) => way === value);
    if (plain !== undefined) return { kind: plain };
  }
  const near = typeof value === 'string' ? nearestWord(value, known) : undefined;
  const names = upstreams.length === 0 ? '' : ', or an [upstream.NAME] of this file';
  const hint =
    near === undefined ? `expected "direct", "multipath", "refuse"${names}` : `did you mean "${near}"?`;
  return reader.wrong(`${key}: there is no way ${shown(value)} — ${hint}`, key);
}

function readUsersOf(reader: TableReader, { users }: Context): string[] | undefined {
  const hint = (item: TomlValue): string => {
    const near = typeof item === 'string' ? nearestWord(item, users) : undefined;
    return near === undefined ? 'expected the name of a [user.NAME] of this file' : `did you mean "${near}"?`;
  };
  return reader.list('user', hint, (item) =>
    typeof item === 'string' && users.includes(item) ? item : undefined,
  );
}

function mergeDestinations(list: readonly Destinations[]): Destinations {
  return { names: list.flatMap(({ names }) => names), prefixes: list.flatMap(({ prefixes }) => prefixes) };
}

function readRule(reader: TableReader, context: Context): ProxyRule | undefined {
  reader.checkKeys(RULE_KEYS);
  const to = listOf(reader, 'to', TO_HINT, readDestination);
  const ports = listOf(reader, 'port', PORT_HINT, readPorts);
  const from = listOf(reader, 'from', FROM_HINT, readClients)?.flat();
  const users = readUsersOf(reader, context);
  const way = readWay(reader, 'way', context);
  const reason = reader.text('reason');
  if (!reader.has('way'))
    reader.wrong('this rule has no way — write way = "direct", "multipath", "refuse" or an upstream');
  if (reason !== undefined && way !== undefined && way.kind !== 'refuse') {
    reader.wrong('reason: only a rule with way = "refuse" tells one', 'reason');
  }
  if (reason !== undefined && (reason.length > LONGEST_REASON || /\p{Cc}/u.test(reason))) {
    reader.wrong(`reason: it is longer than ${LONGEST_REASON} characters, or more than one line`, 'reason');
  }
  if (way === undefined) return undefined;
  return {
    ...(to === undefined ? {} : { to: mergeDestinations(to) }),
    ...(ports === undefined ? {} : { ports }),
    ...(from === undefined ? {} : { from }),
    ...(users === undefined ? {} : { users }),
    way: way.kind === 'refuse' && reason !== undefined ? { kind: 'refuse', reason } : way,
    place: `line ${reader.line}`,
  };
}

function readRules(root: TableReader, context: Context): ProxyRule[] {
  const tables = root.value('rule') ?? [];
  if (!Array.isArray(tables) || !tables.every(isTable)) {
    root.wrong('rule: this is not a list of tables — write [[rule]] above each rule', 'rule');
    return [];
  }
  if (tables.length > MAX_RULES) {
    root.wrong(`rule: there are ${tables.length} rules, more than ${MAX_RULES}`, 'rule');
    return [];
  }
  const rules: ProxyRule[] = [];
  let everything: number | undefined;
  for (const [index, table] of tables.entries()) {
    const reader = new TableReader(table, context.lines, ['rule', index], context.mistakes);
    if (everything !== undefined) {
      reader.wrong(`this rule is never reached — the one of line ${everything} is for everything`);
      break;
    }
    const rule = readRule(reader, context);
    if (!CONDITIONS.some((key) => reader.has(key))) everything = reader.line;
    if (rule !== undefined) rules.push(rule);
  }
  return rules;
}

/** The tables in a table: `[upstream.NAME]`, `[user.NAME]`. */
function tablesIn(root: TableReader, key: string, most: number): [string, Table][] {
  const value = root.value(key);
  if (value === undefined) return [];
  if (!isTable(value)) {
    root.wrong(`${key}: this is not a table — write [${key}.NAME]`, key);
    return [];
  }
  const entries = Object.entries(value);
  if (entries.length > most) root.wrong(`${key}: there are ${entries.length}, more than ${most}`, key);
  return entries.flatMap(([name, table]): [string, Table][] => {
    if (isTable(table)) return [[name, table]];
    root.wrong(`${key}.${name}: this is not a table — write [${key}.NAME]`, key);
    return [];
  });
}

function readUpstream(
  name: string,
  table: Table,
  { lines, mistakes }: Omit<Context, 'upstreams' | 'users'>,
): UpstreamEntry | undefined {
  const reader = new TableReader(table, lines, [`upstream.${name}`, 0], mistakes);
  reader.checkKeys(UPSTREAM_KEYS);
  if (!UPSTREAM_NAME.test(name) || PLAIN_WAYS.some((way) => way === name)) {
    reader.wrong(
      `"${name}" cannot be the name of an upstream proxy — letters, digits, ".", "-" and "_", and no way's name`,
    );
  }
  const url = reader.value('url');
  if (typeof url !== 'string') {
    // Not shown: it may hold a password.
    const example = 'write one such as url = "weft://vps.example.org:13443"';
    return reader.wrong(`this upstream proxy has no url — ${example}`, 'url');
  }
  const parsed = parseUpstreamUrl(url);
  if (typeof parsed === 'string') return reader.wrong(`url: ${parsed}`, 'url');
  const files = {
    tokenFile: reader.text('token_file'),
    passwordFile: reader.text('password_file'),
    caFile: reader.text('ca_file'),
    certFile: reader.text('cert_file'),
    keyFile: reader.text('key_file'),
  };
  const { kind } = parsed;
  const refuse = (key: string, why: string) => reader.wrong(`${key}: ${why}`, key);
  if (files.tokenFile !== undefined && kind !== 'weft')
    refuse('token_file', `${kind}:// knows no tokens; weft:// does`);
  if (files.passwordFile !== undefined && parsed.user === undefined) {
    refuse('password_file', 'the url names no user — such as http://ann@proxy.example.org:3128');
  }
  if (files.passwordFile !== undefined && (parsed.password ?? '') !== '') {
    refuse('password_file', 'the url has a password already');
  }
  const usesTls = kind === 'https' || kind === 'weft';
  for (const key of ['ca_file', 'cert_file', 'key_file']) {
    if (reader.has(key) && !usesTls) refuse(key, `${kind}:// has no certificates`);
  }
  if ((files.certFile === undefined) !== (files.keyFile === undefined)) {
    refuse(files.certFile === undefined ? 'key_file' : 'cert_file', 'cert_file and key_file come together');
  }
  if (kind === 'weft' && files.tokenFile !== undefined && (files.certFile ?? files.caFile) !== undefined) {
    refuse('token_file', 'either a token or certificates, not both');
  }
  if (
    kind === 'weft' &&
    files.tokenFile === undefined &&
    files.certFile === undefined &&
    files.caFile === undefined
  ) {
    reader.wrong('url: a far end wants to know who comes — add token_file, or cert_file and key_file', 'url');
  }
  const multipath = reader.boolean('multipath');
  return {
    name,
    line: reader.line,
    ...parsed,
    ...(multipath === undefined ? {} : { multipath }),
    ...(files.tokenFile === undefined ? {} : { tokenFile: files.tokenFile }),
    ...(files.passwordFile === undefined ? {} : { passwordFile: files.passwordFile }),
    ...(files.caFile === undefined ? {} : { caFile: files.caFile }),
    ...(files.certFile === undefined ? {} : { certFile: files.certFile }),
    ...(files.keyFile === undefined ? {} : { keyFile: files.keyFile }),
  };
}

function readUser(
  name: string,
  table: Table,
  { lines, mistakes }: Omit<Context, 'upstreams' | 'users'>,
): UserSettings | undefined {
  const reader = new TableReader(table, lines, [`user.${name}`, 0], mistakes);
  reader.checkKeys(USER_KEYS);
  if (!USER_NAME.test(name))
    reader.wrong(`${shown(name)} cannot be a user's name — at most 64 characters, and no ":"`);
  const value = reader.value('password');
  if (typeof value !== 'string') {
    return reader.wrong(
      'this user has no password — "weft hash-password" makes what stands here',
      'password',
    );
  }
  const verifier = parseVerifier(value);
  if ('reason' in verifier) return reader.wrong(`password: ${verifier.reason}`, 'password');
  return { password: value };
}

function readLimits(root: TableReader, { lines, mistakes }: Context): ClientLimits {
  const table = root.value('limits') ?? {};
  if (!isTable(table)) root.wrong('limits: this is not a table — write [limits]', 'limits');
  const reader = new TableReader(isTable(table) ? table : {}, lines, ['limits', 0], mistakes);
  reader.checkKeys(LIMIT_KEYS);
  const connections = reader.integer('connections', 1, MAX_LIMIT);
  const tunnels = reader.integer('tunnels', 1, MAX_LIMIT);
  const newPerSecond = reader.integer('new_per_second', 1, MAX_LIMIT);
  return {
    ...(connections === undefined ? {} : { connections }),
    ...(tunnels === undefined ? {} : { tunnels }),
    ...(newPerSecond === undefined ? {} : { newPerSecond }),
  };
}

function readDocument(
  table: Table,
  lines: TomlLines,
  given: readonly string[],
  mistakes: TomlMistake[],
): RulesDocument {
  const root = new TableReader(table, lines, ['', 0], mistakes);
  root.checkKeys(ROOT_KEYS);
  const upstreams = tablesIn(root, 'upstream', MAX_UPSTREAMS);
  const users = tablesIn(root, 'user', MAX_USERS);
  const context: Context = {
    lines,
    mistakes,
    upstreams: [...upstreams.map(([name]) => name), ...given],
    users: users.map(([name]) => name),
  };
  const entries = upstreams.flatMap(([name, upstream]) => readUpstream(name, upstream, context) ?? []);
  const settings = users.flatMap(([name, user]): [string, UserSettings][] => {
    const read = readUser(name, user, context);
    return read === undefined ? [] : [[name, read]];
  });
  const defaultWay = readWay(root, 'default', context);
  return {
    rules: readRules(root, context),
    upstreams: entries,
    users: new Map(settings),
    limits: readLimits(root, context),
    ...(defaultWay === undefined ? {} : { defaultWay }),
    hasSecrets: users.length > 0 || entries.some(({ password = '' }) => password !== ''),
  };
}

/** The parser's words without the excerpt that it adds, which may hold a secret. */
function syntaxMistake(error: TomlError): TomlMistake {
  const [first = ''] = error.message.split('\n');
  const why = first.replace(/^Invalid TOML document: /, '');
  return { line: error.line, text: `not TOML: ${why} (column ${error.column})` };
}

/** @param given names of upstream proxies that the command line brings */
export function readRulesDocument(text: string, given: readonly string[] = []): ReadRules {
  let table: Table;
  try {
    table = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return { mistakes: [syntaxMistake(error)] };
  }
  const mistakes: TomlMistake[] = [];
  const document = readDocument(table, tomlLines(text), given, mistakes);
  if (mistakes.length === 0) return { document, mistakes };
  return { mistakes: mistakes.toSorted((a, b) => a.line - b.line) };
}
