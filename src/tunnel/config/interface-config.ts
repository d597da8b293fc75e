/**
 * `interface.conf` as typed configuration (pure). The original crashes on a missing or malformed address and takes
 * only the last tunnel of several; here the first is an error and the second a warning.
 */
import type { Prefix } from '../../base/index.ts';
import { byteLength, parseDialect, type DialectFile } from './dialect.ts';
import { IssueList, type ConfigIssue } from './issue.ts';
import { COMMAND_TIMEOUT_S, type InterfaceConfig } from './model.ts';
import { SectionReader, type IpVersion } from './section-reader.ts';

export const INTERFACE_FILE = 'interface.conf';

/** A "%" would be a pattern to the kernel. */
const LINK_NAME = /^(?!\.{1,2}$)[^\s/:%]{1,15}$/;
const LINK_NAME_BYTES_MAX = 15;
export const isLinkName = (name: string): boolean =>
  LINK_NAME.test(name) && byteLength(name) <= LINK_NAME_BYTES_MAX;
export const LINK_NAME_RULE = 'the name of a link has 1 to 15 bytes, no spaces, no "/", ":" and "%"';

const TUNNELS_MAX = 64;

/** The sections that a file may have; every other is told as one that counts for nothing. */
export function warnOfOtherSections(
  file: DialectFile,
  isKnown: (name: string) => boolean,
  issues: IssueList,
): void {
  for (const { name, line, entries } of file.sections.values()) {
    if (isKnown(name)) continue;
    if (name === '') {
      for (const entry of entries) {
        issues.warn(
          entry.line,
          `${entry.key} = "${entry.value}" stands before any [section] and counts for nothing`,
        );
      }
    } else issues.warn(line, `[${name}] counts for nothing`);
  }
}

/** Copies what the dialect found. */
export function copyDialectIssues(file: DialectFile, issues: IssueList): void {
  for (const { severity, line, text } of file.issues) {
    if (severity === 'error') issues.error(line, text);
    else issues.warn(line, text);
  }
}

/** A section, or an empty one in its place, so that defaults and errors come from one reading. */
export function openSection(file: DialectFile, name: string, issues: IssueList): SectionReader {
  return new SectionReader(file.sections.get(name) ?? { name, line: 0, entries: [] }, issues);
}

function takeTunnelAddress(section: SectionReader, key: string, version: IpVersion): Prefix | undefined {
  const none = version === 6 ? '::/0' : '0.0.0.0/0';
  if (!section.has(key)) {
    section.refuse(key, `the key is missing; write ADDRESS/LENGTH, or ${none} for none`);
    return undefined;
  }
  const prefix = section.takePrefix(key, version);
  return prefix === undefined || prefix.length === 0 ? undefined : prefix;
}

/** Smallest and largest MTU that a TUN link takes. */
const MTU = { fallback: 1440, min: 68, max: 65_521 } as const;
const IPV6_MTU_MIN = 1280;

/** A reading's outcome. `config` is there only without errors. */
export interface InterfaceReading {
  readonly config?: InterfaceConfig;
  readonly errors: readonly ConfigIssue[];
  readonly warnings: readonly ConfigIssue[];
}

function readTunnel(
  file: DialectFile,
  name: string,
  issues: IssueList,
): Pick<InterfaceConfig, 'name' | 'mtu' | 'ipv4' | 'ipv6'> {
  const section = openSection(file, name, issues);
  const link = section.takeText('name', 'tun0');
  if (!isLinkName(link)) section.refuse('name', LINK_NAME_RULE);
  const mtu = section.takeInteger('mtu', MTU);
  const ipv4 = takeTunnelAddress(section, 'ipv4_addr', 4);
  const ipv6 = takeTunnelAddress(section, 'ipv6_addr', 6);
  if (ipv6 !== undefined && mtu < IPV6_MTU_MIN) {
    section.refuse('mtu', `IPv6 needs at least ${IPV6_MTU_MIN}; write ipv6_addr = ::/0 to have no IPv6`);
  }
  section.finish();
  return { name: link, mtu, ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}

type ClientKeys = Pick<InterfaceConfig, 'commandPort' | 'commandTimeoutS'>;

function takeClientKeys(general: SectionReader): ClientKeys {
  const commandPort = general.takeInteger('cmdport_local', { fallback: -1, min: 0, max: 65_535 });
  const commandTimeoutS = general.takeInteger('cmd_timeout', {
    fallback: COMMAND_TIMEOUT_S.withFile,
    min: 1,
    max: 3600,
  });
  return { ...(commandPort >= 0 && { commandPort }), commandTimeoutS };
}

/**
 * What the client needs of the file. The rest may be wrong, as while somebody edits it: the client that is to find the
 * server has to come through.
 */
export function parseClientConfig(text: string): ClientKeys & { readonly errors: readonly ConfigIssue[] } {
  const issues = new IssueList(INTERFACE_FILE);
  const file = parseDialect(text);
  copyDialectIssues(file, issues);
  const keys = takeClientKeys(openSection(file, 'general', issues));
  return { ...keys, errors: issues.errors };
}

export function parseInterfaceConfig(text: string): InterfaceReading {
  const issues = new IssueList(INTERFACE_FILE);
  const file = parseDialect(text);
  copyDialectIssues(file, issues);
  const general = openSection(file, 'general', issues);
  general.ignore('interface_num');
  const count = general.takeInteger('tunnel_num', { fallback: 0, min: 1, max: TUNNELS_MAX });
  if (!general.has('tunnel_num')) general.refuse('tunnel_num', 'the key is missing; write tunnel_num = 1');
  const acceptRemote = general.takeInteger('accept_remote', { fallback: 0, min: 0, max: 1 }) === 1;
  const forClients = takeClientKeys(general);
  general.finish();
  const tunnels = Array.from({ length: count }, (_value, index) => `tun_${index}`);
  warnOfOtherSections(file, (name) => name === 'general' || tunnels.includes(name), issues);
  for (const unused of tunnels.slice(0, -1)) {
    const line = file.sections.get(unused)?.line ?? 0;
    issues.warn(line, `[${unused}] counts for nothing: of several tunnels only the last exists`);
  }
  const tunnel = readTunnel(file, tunnels.at(-1) ?? 'tun_0', issues);
  const config: InterfaceConfig = {
    ...tunnel,
    acceptRemote,
    ...forClients,
  };
  const { errors, warnings } = issues;
  return { ...(errors.length === 0 && { config }), errors, warnings };
}

/** The tunnel's own address of a version. */
export function tunnelAddress(config: InterfaceConfig, version: IpVersion): string | undefined {
  return (version === 6 ? config.ipv6 : config.ipv4)?.address;
}

const prefixText = (prefix: Prefix | undefined, none: string): string =>
  prefix === undefined ? none : `${prefix.address}/${prefix.length}`;

/** `interface.conf` as text that both programs read. */
export function formatInterfaceConfig(config: InterfaceConfig): string {
  const { ipv4, ipv6 } = config;
  const lines = [
    '########## General information ##########',
    '',
    '[general]',
    'tunnel_num       = 1',
    `accept_remote    = ${config.acceptRemote ? 1 : 0}`,
    ...(config.commandPort === undefined ? [] : [`cmdport_local    = ${config.commandPort}`]),
    `cmd_timeout      = ${config.commandTimeoutS}`,
    '',
    '########## Tunnel interface ##########',
    '',
    '[tun_0]',
    `name             = ${config.name}`,
    `mtu              = ${config.mtu}`,
    `ipv4_addr        = ${prefixText(ipv4, '0.0.0.0/0')}`,
    `ipv6_addr        = ${prefixText(ipv6, '::/0')}`,
    '',
  ];
  return lines.join('\n');
}
