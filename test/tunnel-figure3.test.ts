/**
 * The guide's figure 3 with `mptsrv` on one side or on both, the stand-in for the original on the other:
 *
 *   a  10.0.0.2 fec0::2   eth1  10.1.1.2 fd00:1::2 ──────── 10.1.1.3 fd00:1::3  eth1   10.0.0.3 fec0::3  b
 *                         eth2  10.2.2.2 fd00:2::2 ──────── 10.2.2.3 fd00:2::3  eth2
 */
import { afterEach, describe, expect, it } from 'vitest';
import { diffSnapshots, takeSnapshot } from '../src/lab/index.ts';
import { DATA_PORTS, pathAddress, tunnelAddress, type PairOptions } from './support/tunnel-config.ts';
import { eventually, ping, TunnelLab, type TunnelServer } from './support/tunnel-lab.ts';
import { transferTcp } from './support/tunnel-traffic.ts';

let lab: TunnelLab;

afterEach(async () => {
  await lab.close();
});

const OUTERS: readonly (readonly [string, readonly (4 | 6)[]])[] = [
  ['IPv4', [4, 4]],
  ['IPv6', [6, 6]],
  ['IPv4 and IPv6', [4, 6]],
];

const PINGS = ['-c', '8', '-i', '0.02', '-W', '2'];

async function pingBothWays(): Promise<void> {
  for (const version of [4, 6] as const) {
    for (const [from, to] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one after another, so that failures tell where
      const { sent, received, text } = await ping(lab.node(from), tunnelAddress(to, version), PINGS);
      expect(received, text).toBe(sent);
      expect(sent).toBe(8);
    }
  }
}

/** Every path of every connection carried data both ways, and none of it was bad. */
async function expectBothPathsUsed(server: TunnelServer): Promise<void> {
  // On a machine that is busy with other things a path may have been left for a moment.
  const { connections, totals } = await eventually('all paths are usable', async () => {
    const status = await server.status();
    return status.connections.every(({ paths }) => paths.every((path) => path.status === 0)) && status;
  });
  expect(connections).toHaveLength(2);
  for (const connection of connections) {
    for (const path of connection.paths) {
      expect(path.sentPackets).toBeGreaterThanOrEqual(8);
      expect(path.receivedPackets).toBeGreaterThanOrEqual(8);
      expect(path, JSON.stringify(path)).toMatchObject({ malformed: 0, strangers: 0, sendDropped: 0 });
    }
    expect(connection).toMatchObject({ noPath: 0, duplicate: 0, late: 0 });
  }
  expect(totals).toMatchObject({ malformed: 0, tunWriteErrors: 0 });
}

describe.each(OUTERS)('paths over %s', (_name, outer) => {
  describe.each([
    ['without sequence numbers', { reorderWindow: 0 }],
    ['with sequence numbers', { reorderWindow: 900, maxDelayMs: 300 }],
  ] as const)('%s', (_title, order) => {
    const options: PairOptions = { inner: [4, 6], outer, ...order };

    it('Weft and Weft', async () => {
      lab = await TunnelLab.build();
      const servers = await lab.startBoth(options);
      await pingBothWays();
      for (const version of [4, 6] as const) {
        // oxlint-disable-next-line no-await-in-loop -- one stream at a time
        await transferTcp({
          from: lab.node('a'),
          to: lab.node('b'),
          address: tunnelAddress('b', version),
          bytes: 10e6,
        });
      }
      for (const server of servers) {
        // oxlint-disable-next-line no-await-in-loop
        await expectBothPathsUsed(server);
        // oxlint-disable-next-line no-await-in-loop
        const { connections } = await server.status();
        for (const { paths } of connections) for (const path of paths) expect(path.isWeft).toBe(true);
      }
    });

    it('Weft and the original', async () => {
      lab = await TunnelLab.build();
      const peer = lab.startPeer('b', options);
      const server = await lab.start('a', lab.folder('a', options));
      await pingBothWays();
      for (const version of [4, 6] as const) {
        for (const [from, to] of [
          ['a', 'b'],
          ['b', 'a'],
        ] as const) {
          // oxlint-disable-next-line no-await-in-loop
          await transferTcp({
            from: lab.node(from),
            to: lab.node(to),
            address: tunnelAddress(to, version),
            bytes: 1e6,
          });
        }
      }
      await expectBothPathsUsed(server);
      for (const { paths } of (await server.status()).connections) {
        for (const path of paths) expect(path.isWeft).toBe(false);
      }
      for (const { paths } of peer.connections) {
        for (const path of paths) {
          expect(path.status).toBe(0);
          expect(path.receivedKeepalives).toBeGreaterThan(0);
        }
      }
      // Nothing reached the original that it had to complain of.
      expect(peer.lines.filter((line) => !line.startsWith('route:'))).toEqual([]);
    });
  });
});

describe('what mptsrv makes and prints', () => {
  it('prints what the original prints, and leaves nothing behind', async () => {
    lab = await TunnelLab.build();
    const node = lab.node('a');
    const before = takeSnapshot({ netns: node.path });
    const server = await lab.start(
      'a',
      lab.folder('a', { weights: [1, 3], reorderWindow: 900, maxDelayMs: 300 }),
    );
    const during = diffSnapshots(before, takeSnapshot({ netns: node.path })).join('\n');
    expect(during).toMatch(/link tun0 tun up mtu 1440/);
    expect(during).toMatch(/10\.1\.1\.3\/32 .*dev eth1/);
    expect(during).toMatch(/10\.2\.2\.3\/32 .*dev eth2/);
    expect(server.program.stdout).toContain(
      [
        'Initializing...',
        'Initialization is done.',
        'Loading Tunnel interface configuration file...',
        'Tunnels are configured.',
        'Interface configuration loaded.',
        'Loading connection configurations...',
        'Connection configuration is loaded.',
        '',
        'Starting MPT Tunnel & Service',
        '',
        'Tunnel information:',
        '    Tunnel interface : tun0',
        '    Tunnel device    : /dev/net/tun',
      ].join('\n'),
    );
    expect(server.program.stdout).toContain(
      'PathSelection indices: 1, 1, 0, 1, \nPathselection list length: 4, Final increment:3\n',
    );
    expect(server.program.stdout).toContain(
      [
        '    Tunnel int. MTU  : 1440',
        '    Tunnel ipv4 addr.: 10.0.0.2/24',
        '    Tunnel ipv6 addr.: fec0::2/64',
        '    CMD server port number  : 60456',
        '    Global server    : 0',
      ].join('\n'),
    );
    expect(server.program.stdout).toContain(
      [
        'Number of connections: 1 ',
        '',
        'Multipath Connection Information:',
        'Connection name  : conn4_A ',
        '    Config file           : ipv4.conf',
        '    IP version            : 4',
        '    Local  Tunnel address : 10.0.0.2',
        `    Local  UDP Port       : ${DATA_PORTS[4]}`,
        '    Local  CMD UDP Port   : 60456',
        '    Remote Tunnel address : 10.0.0.3',
        `    Remote UDP Port       : ${DATA_PORTS[4]}`,
        '    Remote CMD UDP Port   : 60456',
        '    Number of Paths       : 2',
        '    Number of networks    : 0',
        '    Packets sent out      : 0',
        '    Connection update     : 3',
        '    Authentication type   : 0',
        '    Connection reorder win: 900',
        '    Max. delay in rcv.buff: 0(sec) 300(msec)',
        '    Connection status     : 0',
        '  Path 0 information:',
        '     Interface name:    : eth1',
        `     Public IP address  : ${pathAddress('a', 1, 4)}`,
      ].join('\n'),
    );
    expect(await server.stop()).toBe(0);
    expect(diffSnapshots(before, takeSnapshot({ netns: node.path }))).toEqual([]);
    expect(server.program.stderr).not.toMatch(/error/i);
  });

  it('starts nothing when a path cannot be, and says which', async () => {
    lab = await TunnelLab.build();
    const node = lab.node('a');
    const before = takeSnapshot({ netns: node.path });
    const folder = lab.folder('a', { path: { weight_out: 0 } });
    await expect(lab.start('a', folder)).rejects.toThrow(
      /connections\/ipv4\.conf(:\d+| line \d+).*weight_out.*0/s,
    );
    expect(diffSnapshots(before, takeSnapshot({ netns: node.path }))).toEqual([]);
  });
});
