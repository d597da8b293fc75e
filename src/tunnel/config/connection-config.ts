/**
 * A connection's file, or the text of a connection that a peer wants to create, as typed configuration (pure):
 * sections [connection], [path_0] … and [net_0] ….
 *
 * What a text is for decides what it must say: the template has no peer, so it needs no remote addresses.
 * Whatever crashes the original, or makes it send where nobody meant it to, is an error.
 */
import { parseDialect, type DialectFile } from './dialect.ts';
import { copyDialectIssues, openSection, warnOfOtherSections } from './interface-config.ts';
import { IssueList, type ConfigIssue } from './issue.ts';
import {
  NETWORKS_MAX,
  PATHS_MAX,
  REORDER_WINDOW_MAX,
  SCHEDULERS,
  type ConnectionConfig,
  type NetworkConfig,
  type PathConfig,
} from './model.ts';
import { isTwin, readPath } from './path-config.ts';
import { unspecified, type IpVersion, type SectionReader } from './section-reader.ts';
import { DEFAULT_KEY_TEXT, KEY_BYTES } from '../control/authentication.ts';

/**
 * `connection`: a file. `template`: conf.template. `peer`: text of a peer's message, whose end the original cuts off,
 * so that sections at the end may be missing.
 */
export type ConnectionPurpose = 'connection' | 'template' | 'peer';

export interface ConnectionReading {
  readonly connection?: ConnectionConfig;
  /** Whether the text itself names a command port of this side. */
  readonly saysLocalCommandPort: boolean;
  readonly errors: readonly ConfigIssue[];
  readonly warnings: readonly ConfigIssue[];
}

const NAME_BYTES_MAX = 127;
const AUTH_KEY_LENGTH = KEY_BYTES;
const BUFFER_DELAY_MAX_MS = 60_000;
const PORT = { min: 0, max: 65_535 } as const;
const BYTE = { min: 0, max: 255 } as const;

function readNetwork(section: SectionReader): NetworkConfig {
  const ipVersion = section.takeVersion('ip_ver', 4, 4);
  const source = section.takeNetwork('src_addr', ipVersion);
  const destination = section.takeNetwork('dst_addr', ipVersion);
  section.finish();
  return { ipVersion, source, destination };
}

function takeAuthType(section: SectionReader): 0 | 1 | 2 {
  const note = '0 none, 1 token, 2 SHA-256';
  const type = section.takeInteger('auth_type', { fallback: 0, min: 0, max: 2, note });
  return type === 2 || type === 1 ? type : 0;
}

/** Never with its value in a message. */
function takeAuthKey(section: SectionReader, issues: IssueList): string {
  const key = section.takeText('auth_key', DEFAULT_KEY_TEXT);
  if (key.length < AUTH_KEY_LENGTH) {
    const text = `auth_key has ${key.length} characters; ${AUTH_KEY_LENGTH} make a whole key`;
    issues.warn(section.lineOf('auth_key'), text);
  }
  if (!/^[\u0020-\u007e]*$/.test(key)) {
    issues.error(section.lineOf('auth_key'), 'auth_key has characters that are not printable ASCII');
  }
  return key;
}

function readConnection(section: SectionReader, purpose: ConnectionPurpose, issues: IssueList) {
  const name = section.takeText('name', 'connection');
  if (name.length > NAME_BYTES_MAX) section.refuse('name', `at most ${NAME_BYTES_MAX} characters`);
  if (/\p{Cc}/u.test(name)) section.refuse('name', 'control characters are not allowed');
  const ipVersion: IpVersion = section.takeVersion('ip_ver', 6, 6);
  const remoteAddress = section.takeAddress('ip_remote', ipVersion);
  if (purpose !== 'template' && remoteAddress === unspecified(ipVersion)) {
    section.refuse('ip_remote', "the peer's tunnel address is missing");
  }
  return {
    name,
    permission: section.takeInteger('permission', {
      fallback: 0,
      min: 0,
      max: 3,
      note: '0 none, 1 send, 2 receive, 3 both',
    }),
    ipVersion,
    localAddress: section.takeAddress('ip_local', ipVersion),
    localPort: section.takeInteger('local_port', { fallback: 0, ...PORT, note: '0: any' }),
    localCommandPort: section.takeInteger('local_cmd_port', { fallback: 65_001, ...PORT }),
    remoteAddress,
    remotePort: section.takeInteger('remote_port', { fallback: 65_000, ...PORT, min: 1 }),
    remoteCommandPort: section.takeInteger('remote_cmd_port', { fallback: 65_050, ...PORT, min: 1 }),
    status: section.takeInteger('status', { fallback: 0x80, ...BYTE }),
    reorderWindow: section.takeInteger('reorder_window', { fallback: 0, min: 0, max: REORDER_WINDOW_MAX }),
    maxBufferDelayMs: section.takeInteger('max_buffdelay_msec', {
      fallback: 0,
      min: 0,
      max: BUFFER_DELAY_MAX_MS,
    }),
    authType: takeAuthType(section),
    authKey: takeAuthKey(section, issues),
    scheduler: section.takeWord('scheduler', 'weights', SCHEDULERS),
  };
}

/** The numbered sections that a count promises. */
function openNumbered(
  file: DialectFile,
  connection: SectionReader,
  countKey: string,
  limit: number,
  mayBeCut: boolean,
  issues: IssueList,
): SectionReader[] {
  const prefix = countKey === 'path_count' ? 'path_' : 'net_';
  const count = connection.takeInteger(countKey, { fallback: 0, min: 0, max: limit });
  const sections: SectionReader[] = [];
  for (let index = 0; index < count; index++) {
    const name = `${prefix}${index}`;
    if (file.sections.has(name)) sections.push(openSection(file, name, issues));
    else if (!mayBeCut) connection.refuse(countKey, `[${name}] is missing`);
  }
  return sections;
}

/** Two paths that cannot be told apart: packets come by one of them only, and the other is never heard. */
function warnOfTwins(sections: readonly SectionReader[], paths: readonly PathConfig[]): void {
  for (const [index, path] of paths.entries()) {
    const twin = paths.findIndex((other) => isTwin(other, path));
    if (twin < 0 || twin === index) continue;
    sections[index]?.warn(
      'remote_ipaddr',
      `[path_${twin}] has the same addresses; one of the two carries nothing`,
    );
  }
}

/** Reads the text of a connection. `file` is for the messages. */
export function parseConnectionConfig(
  text: string,
  file: string,
  purpose: ConnectionPurpose = 'connection',
): ConnectionReading {
  const issues = new IssueList(file);
  const dialect = parseDialect(text);
  copyDialectIssues(dialect, issues);
  if (!dialect.sections.has('connection')) issues.error(0, 'there is no [connection] section');
  const section = openSection(dialect, 'connection', issues);
  const connection = readConnection(section, purpose, issues);
  const mayBeCut = purpose === 'peer';
  const pathSections = openNumbered(dialect, section, 'path_count', PATHS_MAX, mayBeCut, issues);
  const networkSections = openNumbered(dialect, section, 'network_count', NETWORKS_MAX, mayBeCut, issues);
  section.finish();
  const paths = pathSections.map((path) => readPath(path, purpose));
  warnOfTwins(pathSections, paths);
  const networks = networkSections.map(readNetwork);
  if (dialect.sections.has('connection') && pathSections.length === 0 && issues.errors.length === 0) {
    section.warn('path_count', 'the connection has no paths and carries nothing');
  }
  const counted = new Set([
    'connection',
    ...pathSections.map((_path, index) => `path_${index}`),
    ...networkSections.map((_network, index) => `net_${index}`),
  ]);
  // With a refused count every numbered section would be told again.
  if (issues.errors.length === 0) warnOfOtherSections(dialect, (name) => counted.has(name), issues);
  const { errors, warnings } = issues;
  return {
    ...(errors.length === 0 && { connection: { ...connection, paths, networks } }),
    saysLocalCommandPort: section.has('local_cmd_port'),
    errors,
    warnings,
  };
}
