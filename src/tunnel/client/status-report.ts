/**
 * What `mpt show status` answers (pure): the tunnel and its connections, byte for byte as recorded from the original,
 * after `CMD_OK:`. The block of networks is not recorded with its surroundings; here it follows the paths.
 */
import type { Prefix } from '../../base/index.ts';
import { DEFAULT_BUFFER_DELAY_MS, type ConnectionConfig } from '../config/model.ts';

export interface TunnelStatus {
  readonly interfaceName: string;
  /** Number of the tunnel's descriptor. */
  readonly descriptor: number;
  readonly mtu: number;
  /** Absent: none. */
  readonly ipv4?: Prefix;
  readonly ipv6?: Prefix;
  readonly commandPort: number;
  readonly acceptRemote: boolean;
}

export interface ConnectionStatus {
  /** Name of its file in `conf/connections`. */
  readonly file: string;
  /** As it is now: addresses found out, statuses of paths and connection. */
  readonly connection: ConnectionConfig;
  readonly packetsSent: number | bigint;
}

const prefixText = (prefix: Prefix | undefined, none: string): string =>
  prefix === undefined ? none : `${prefix.address}/${prefix.length}`;

/** From `Tunnel information:` on. */
export function formatTunnelStatus(tunnel: TunnelStatus): string {
  return `Tunnel information:
    Tunnel interface : ${tunnel.interfaceName}
    Tunnel device    : /dev/net/tun
    Tunnel file desc.: ${tunnel.descriptor}
    Tunnel int. MTU  : ${tunnel.mtu}
    Tunnel ipv4 addr.: ${prefixText(tunnel.ipv4, '0.0.0.0/0')}
    Tunnel ipv6 addr.: ${prefixText(tunnel.ipv6, '::/0')}
    CMD server port number  : ${tunnel.commandPort}
    Global server    : ${tunnel.acceptRemote ? 1 : 0}
`;
}

function formatPaths({ paths }: ConnectionConfig): string {
  return paths
    .map(
      (path, index) => `  Path ${index} information:
     Interface name:    : ${path.interfaceName}
     Public IP address  : ${path.publicAddress}
     Private IP address : ${path.privateAddress}
     Gateway IP address : ${path.gatewayAddress}
     Remote IP address  : ${path.remoteAddress}
     Incoming weight    : ${path.weightIn}
     Outgoing weight    : ${path.weightOut}
     Keepalive time     : ${path.keepaliveTimeS}
     Dead timer         : ${path.deadTimeS}
     Path Status        : ${path.status}
`,
    )
    .join('');
}

function formatNetworks({ networks }: ConnectionConfig): string {
  if (networks.length === 0) return '';
  const blocks = networks.map(
    (network, index) => `-------- Network ${index} ----------
    IP version       : ${network.ipVersion}
    Source           : ${prefixText(network.source, '')}
    Destination      : ${prefixText(network.destination, '')}
`,
  );
  return `Networks:\n${blocks.join('')}\n`;
}

/** From `Multipath Connection Information:` on, with the empty line that ends it. */
export function formatConnectionStatus({ file, connection, packetsSent }: ConnectionStatus): string {
  const delayMs = connection.maxBufferDelayMs || DEFAULT_BUFFER_DELAY_MS;
  return `Multipath Connection Information:
Connection name  : ${connection.name} 
    Config file           : ${file}
    IP version            : ${connection.ipVersion}
    Local  Tunnel address : ${connection.localAddress}
    Local  UDP Port       : ${connection.localPort}
    Local  CMD UDP Port   : ${connection.localCommandPort}
    Remote Tunnel address : ${connection.remoteAddress}
    Remote UDP Port       : ${connection.remotePort}
    Remote CMD UDP Port   : ${connection.remoteCommandPort}
    Number of Paths       : ${connection.paths.length}
    Number of networks    : ${connection.networks.length}
    Packets sent out      : ${packetsSent}
    Connection update     : ${connection.permission}
    Authentication type   : ${connection.authType}
    Connection reorder win: ${connection.reorderWindow}
    Max. delay in rcv.buff: ${Math.floor(delayMs / 1000)}(sec) ${delayMs % 1000}(msec)
    Connection status     : ${connection.status}
${formatPaths(connection)}
${formatNetworks(connection)}`;
}

/** The whole answer, without `CMD_OK:`. */
export function formatStatusReport(tunnel: TunnelStatus, connections: readonly ConnectionStatus[]): string {
  const count = `Number of connections: ${connections.length} \n`;
  return `\n${formatTunnelStatus(tunnel)}\n${count}\n${connections.map(formatConnectionStatus).join('')}`;
}
