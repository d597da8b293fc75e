/**
 * A connection as text that both programs read (pure): what `mpt save` writes, and what a message that creates a
 * connection carries. Keys stand in the original's order, padded to 16 columns, byte for byte as recorded.
 *
 *   message   exactly the original's keys; nothing secret. The receiver skips the first 4 bytes of it
 *   file      the same, and what the original's own `save` loses: auth_key, cmd_default, and Weft's keys, each only
 *             where it is not the default. The original reads or ignores them
 *
 * Invariant: parseConnectionConfig(formatConnectionConfig(c, 'file')) gives c again (tested as a property).
 */
import type { Prefix } from '../../base/index.ts';
import { parseDialect } from './dialect.ts';
import { type ConnectionConfig, type NetworkConfig, type PathConfig } from './model.ts';
import { SAME_AS_PRIVATE } from './path-config.ts';
import { DEFAULT_KEY_TEXT } from '../control/authentication.ts';

const KEY_COLUMNS = 16;
const TITLE = ';;;;;;;#################### Multipath Connection Information: ###############';
const PATHS_TITLE = '########################## PATHS ############################';
const NETWORKS_TITLE = '####################### NETWORKS #####################################';

/** The value as it is, or in the quotation that reads as it. */
function quoted(value: string): string {
  if (/^[\w.:/ -]*$/.test(value)) return value;
  const candidates = [value, `"${value}"`, `'${value}'`];
  const reads = (text: string) => parseDialect(`k = ${text}\n`).sections.get('')?.entries[0]?.value === value;
  return candidates.find(reads) ?? value;
}

function keyLine(key: string, value: string | number): string {
  return `${key.padEnd(KEY_COLUMNS)} = ${typeof value === 'number' ? value : quoted(value)}`;
}

const section = (name: string, keys: readonly (readonly [string, string | number])[]): readonly string[] => [
  `[${name}]`,
  ...keys.map(([key, value]) => keyLine(key, value)),
];

const prefixText = ({ address, length }: Prefix): string => `${address}/${length}`;

export type ConnectionTextUse = 'file' | 'message';

function connectionLines(connection: ConnectionConfig, use: ConnectionTextUse): readonly string[] {
  const own: (readonly [string, string | number])[] = [];
  if (use === 'file') {
    if (connection.authKey !== DEFAULT_KEY_TEXT) own.push(['auth_key', connection.authKey]);
    if (connection.scheduler !== 'weights') own.push(['scheduler', connection.scheduler]);
  }
  return section('connection', [
    ['name', connection.name],
    ['permission', connection.permission],
    ['ip_ver', connection.ipVersion],
    ['ip_local', connection.localAddress],
    ['local_port', connection.localPort],
    ['local_cmd_port', connection.localCommandPort],
    ['ip_remote', connection.remoteAddress],
    ['remote_port', connection.remotePort],
    ['remote_cmd_port', connection.remoteCommandPort],
    ['path_count', connection.paths.length],
    ['network_count', connection.networks.length],
    ['status', connection.status],
    ['reorder_window', connection.reorderWindow],
    ['max_buffdelay_msec', connection.maxBufferDelayMs],
    ['auth_type', connection.authType],
    ...own,
  ]);
}

function pathLines(path: PathConfig, index: number, use: ConnectionTextUse): readonly string[] {
  const own: (readonly [string, string | number])[] = [];
  if (use === 'file') {
    if (path.isCommandDefault) own.push(['cmd_default', 1]);
    const { tcpSource, tcpDestination, udpSource, udpDestination } = path.pinned;
    const lists = {
      tcp_src: tcpSource,
      tcp_dst: tcpDestination,
      udp_src: udpSource,
      udp_dst: udpDestination,
    };
    for (const [key, ports] of Object.entries(lists)) {
      if (ports.length > 0) own.push([key, ports.join(' ')]);
    }
  }
  const publicAddress = path.publicIsPrivate && use === 'file' ? SAME_AS_PRIVATE : path.publicAddress;
  return section(`path_${index}`, [
    ['interface_name', path.interfaceName],
    ['ip_ver', path.ipVersion],
    ['private_ipaddr', path.privateAddress],
    ['public_ipaddr', publicAddress],
    ['gw_ipaddr', path.gatewayAddress],
    ['remote_ipaddr', path.remoteAddress],
    ['keepalive_time', path.keepaliveTimeS],
    ['dead_time', path.deadTimeS],
    ['weight_in', path.weightIn],
    ['weight_out', path.weightOut],
    ['status', path.status],
    ...own,
  ]);
}

const networkLines = (network: NetworkConfig, index: number): readonly string[] =>
  section(`net_${index}`, [
    ['ip_ver', network.ipVersion],
    ['src_addr', prefixText(network.source)],
    ['dst_addr', prefixText(network.destination)],
  ]);

export function formatConnectionConfig(connection: ConnectionConfig, use: ConnectionTextUse): string {
  const lines = [TITLE, '', ...connectionLines(connection, use), '', PATHS_TITLE];
  for (const [index, path] of connection.paths.entries()) lines.push('', ...pathLines(path, index, use));
  lines.push('', NETWORKS_TITLE);
  for (const [index, network] of connection.networks.entries())
    lines.push('', ...networkLines(network, index));
  return `${lines.join('\n')}\n`;
}
