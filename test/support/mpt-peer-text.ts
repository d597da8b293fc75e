/**
 * Connection files as the stand-in for the original program reads and writes them (pure). Written from the description
 * of the format alone and shares nothing with src/tunnel, so that a misreading there is not repeated here.
 *
 * Not a full reader: files of tests are well formed. Numbers are C's, as far as the files have them.
 */
export interface OriginalPath {
  interfaceName: string;
  ipVersion: 4 | 6;
  publicAddress: string;
  privateAddress: string;
  gatewayAddress: string;
  remoteAddress: string;
  keepaliveS: number;
  deadS: number;
  weightIn: number;
  weightOut: number;
  status: number;
  isCommandDefault: boolean;
}

export interface OriginalNetwork {
  ipVersion: 4 | 6;
  source: string;
  destination: string;
}

export interface OriginalConnection {
  name: string;
  permission: number;
  ipVersion: 4 | 6;
  ipLocal: string;
  localPort: number;
  localCommandPort: number;
  ipRemote: string;
  remotePort: number;
  remoteCommandPort: number;
  status: number;
  reorderWindow: number;
  maxDelayMs: number;
  authType: number;
  /** The characters that serve as key, 32 bytes. */
  key: Buffer;
  paths: OriginalPath[];
  networks: OriginalNetwork[];
}

/** What the program uses where a file has no key: values A0 … BF as hex digits, of which the first 32 serve. */
export const BUILT_IN_KEY = Buffer.from('A0A1A2A3A4A5A6A7A8A9AAABACADAEAF', 'latin1');

export type IniSections = Map<string, Map<string, string>>;

export function readIni(text: string): IniSections {
  const sections: IniSections = new Map();
  let current = new Map<string, string>();
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    const header = /^\[([^\]]*)\]/.exec(line);
    if (header !== null) {
      const name = header[1]!.trim().toLowerCase();
      current = sections.get(name) ?? new Map<string, string>();
      sections.set(name, current);
      continue;
    }
    const at = line.indexOf('=');
    // The message of a create may end in the middle of a line.
    if (at < 0) continue;
    let value = line.slice(at + 1).trim();
    const quote = value[0];
    if (quote === '"' || quote === "'") value = value.slice(1, value.indexOf(quote, 1));
    else value = value.replace(/\s*[;#].*$/, '');
    current.set(line.slice(0, at).trim().toLowerCase(), value);
  }
  return sections;
}

/** strtol with base 0, as far as numbers of tests go. */
function numberOf(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const match = /^\s*(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)/.exec(text);
  if (match === null) return 0;
  const digits = match[1]!;
  return /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
}

const number = (keys: ReadonlyMap<string, string>, key: string, fallback: number) =>
  numberOf(keys.get(key), fallback);
const none = (version: number) => (version === 6 ? '::' : '0.0.0.0');

export function readConnection(text: string): OriginalConnection {
  const sections = readIni(text);
  const sectionOf = (name: string) => sections.get(name) ?? new Map<string, string>();
  const main = sectionOf('connection');
  const ipVersion = number(main, 'ip_ver', 6) === 6 ? 6 : 4;
  const keyText = main.get('auth_key');
  const key = Buffer.alloc(32);
  if (keyText === undefined) BUILT_IN_KEY.copy(key);
  else key.write(keyText.slice(0, 32), 'latin1');
  const paths = Array.from({ length: number(main, 'path_count', 0) }, (_, index): OriginalPath => {
    const keys = sectionOf(`path_${index}`);
    const version = number(keys, 'ip_ver', 4) === 6 ? 6 : 4;
    const address = (name: string) => keys.get(name) ?? none(version);
    const keepaliveS = number(keys, 'keepalive_time', 0) & 0xff;
    const publicText = address('public_ipaddr');
    return {
      interfaceName: keys.get('interface_name') ?? 'unnamed_path',
      ipVersion: version,
      privateAddress: address('private_ipaddr'),
      publicAddress: publicText === 'private_ipaddr' ? address('private_ipaddr') : publicText,
      gatewayAddress: address('gw_ipaddr'),
      remoteAddress: address('remote_ipaddr'),
      keepaliveS,
      deadS: number(keys, 'dead_time', 3 * keepaliveS) & 0xffff,
      weightIn: number(keys, 'weight_in', 1),
      weightOut: number(keys, 'weight_out', 1),
      status: number(keys, 'status', 0),
      isCommandDefault: number(keys, 'cmd_default', 0) !== 0,
    };
  });
  const networks = Array.from({ length: number(main, 'network_count', 0) }, (_, index): OriginalNetwork => {
    const keys = sectionOf(`net_${index}`);
    return {
      ipVersion: number(keys, 'ip_ver', 4) === 4 ? 4 : 6,
      source: keys.get('src_addr') ?? '0.0.0.0/0',
      destination: keys.get('dst_addr') ?? '0.0.0.0/0',
    };
  });
  return {
    name: main.get('name') ?? 'connection',
    permission: number(main, 'permission', 0),
    ipVersion,
    ipLocal: main.get('ip_local') ?? none(ipVersion),
    localPort: number(main, 'local_port', 0),
    localCommandPort: number(main, 'local_cmd_port', 65_001),
    ipRemote: main.get('ip_remote') ?? none(ipVersion),
    remotePort: number(main, 'remote_port', 65_000),
    remoteCommandPort: number(main, 'remote_cmd_port', 65_050),
    status: number(main, 'status', 0x80),
    reorderWindow: number(main, 'reorder_window', 0),
    maxDelayMs: number(main, 'max_buffdelay_msec', 0) || 100,
    authType: number(main, 'auth_type', 0),
    key,
    paths,
    networks,
  };
}

const section = (name: string, ...keys: readonly (readonly [string, string | number])[]) =>
  `\n[${name}]\n${keys.map(([key, value]) => `${key.padEnd(16)} = ${value}\n`).join('')}`;

/** What `save` writes and a create carries. */
export function writeConnection(connection: OriginalConnection): string {
  return [
    ';;;;;;;#################### Multipath Connection Information: ###############\n',
    section(
      'connection',
      ['name', connection.name],
      ['permission', connection.permission],
      ['ip_ver', connection.ipVersion],
      ['ip_local', connection.ipLocal],
      ['local_port', connection.localPort],
      ['local_cmd_port', connection.localCommandPort],
      ['ip_remote', connection.ipRemote],
      ['remote_port', connection.remotePort],
      ['remote_cmd_port', connection.remoteCommandPort],
      ['path_count', connection.paths.length],
      ['network_count', connection.networks.length],
      ['status', connection.status],
      ['reorder_window', connection.reorderWindow],
      ['max_buffdelay_msec', connection.maxDelayMs],
      ['auth_type', connection.authType],
    ),
    '\n########################## PATHS ############################\n',
    ...connection.paths.map((path, index) =>
      section(
        `path_${index}`,
        ['interface_name', path.interfaceName],
        ['ip_ver', path.ipVersion],
        ['private_ipaddr', path.privateAddress],
        ['public_ipaddr', path.publicAddress],
        ['gw_ipaddr', path.gatewayAddress],
        ['remote_ipaddr', path.remoteAddress],
        ['keepalive_time', path.keepaliveS],
        ['dead_time', path.deadS],
        ['weight_in', path.weightIn],
        ['weight_out', path.weightOut],
        ['status', path.status],
      ),
    ),
    '\n####################### NETWORKS #####################################\n',
    ...connection.networks.map((network, index) =>
      section(
        `net_${index}`,
        ['ip_ver', network.ipVersion],
        ['src_addr', network.source],
        ['dst_addr', network.destination],
      ),
    ),
  ].join('');
}
