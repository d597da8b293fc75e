/** What the stand-in for the original program answers to "show status" (pure), as recorded. */
import type { MptPeer } from './mpt-peer.ts';

export function formatReport(peer: MptPeer): string {
  const connections = peer.connections.map(({ file, settings, paths, packetsSent }) => {
    const head: readonly (readonly [string, string | number])[] = [
      ['Config file', file],
      ['IP version', settings.ipVersion],
      ['Local  Tunnel address', settings.ipLocal],
      ['Local  UDP Port', settings.localPort],
      ['Local  CMD UDP Port', settings.localCommandPort],
      ['Remote Tunnel address', settings.ipRemote],
      ['Remote UDP Port', settings.remotePort],
      ['Remote CMD UDP Port', settings.remoteCommandPort],
      ['Number of Paths', paths.length],
      ['Number of networks', settings.networks.length],
      ['Packets sent out', packetsSent],
      ['Connection update', settings.permission],
      ['Authentication type', settings.authType],
      ['Connection reorder win', settings.reorderWindow],
      [
        'Max. delay in rcv.buff',
        `${Math.floor(settings.maxDelayMs / 1000)}(sec) ${settings.maxDelayMs % 1000}(msec)`,
      ],
      ['Connection status', settings.status],
    ];
    const lines = head.map(([name, value]) => `    ${name.padEnd(22)}: ${value}\n`);
    const pathLines = paths.map((path, index) => {
      const keys: readonly (readonly [string, string | number])[] = [
        ['Interface name:', path.interfaceName],
        ['Public IP address', path.publicAddress],
        ['Private IP address', path.privateAddress],
        ['Gateway IP address', path.gatewayAddress],
        ['Remote IP address', path.remoteAddress],
        ['Incoming weight', path.weightIn],
        ['Outgoing weight', path.weightOut],
        ['Keepalive time', path.keepaliveS],
        ['Dead timer', path.deadS],
        ['Path Status', path.status],
      ];
      return `  Path ${index} information:\n${keys.map(([name, value]) => `     ${name.padEnd(19)}: ${value}\n`).join('')}`;
    });
    return `\nMultipath Connection Information:\nConnection name  : ${settings.name} \n${lines.join('')}${pathLines.join('')}\n`;
  });
  return `Tunnel information:
    Tunnel interface : ${peer.interfaceName}
    Tunnel device    : /dev/net/tun
    Tunnel file desc.: 4
    Tunnel int. MTU  : ${peer.mtu}
    Tunnel ipv4 addr.: ${peer.ipv4}
    Tunnel ipv6 addr.: ${peer.ipv6}
    CMD server port number  : ${peer.commandPort}
    Global server    : ${peer.acceptsRemote ? 1 : 0}

Number of connections: ${peer.connections.length} 
${connections.join('')}`;
}
