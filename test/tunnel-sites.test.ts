/**
 * Two sites whose hosts reach each other through the tunnel and know nothing of it:
 *
 *   client 192.168.1.10 ── lan  a  eth1 ──── eth1  b  lan ── server 192.168.2.10
 *          fd01::10                eth2 ──── eth2            fd02::10
 */
import { existsSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diffSnapshots, takeSnapshot, type LabNode } from '../src/lab/index.ts';
import type { PairOptions } from './support/tunnel-config.ts';
import { ping, TunnelLab } from './support/tunnel-lab.ts';
import { transferTcp } from './support/tunnel-traffic.ts';

const OPTIONS: PairOptions = {
  inner: [4, 6],
  reorderWindow: 900,
  networks: [
    { source: '192.168.1.0/24', destination: '192.168.2.0/24' },
    { source: 'fd01::/64', destination: 'fd02::/64' },
  ],
};

let lab: TunnelLab;

beforeEach(async () => {
  lab = await TunnelLab.build({ sites: true });
});

afterEach(async () => {
  await lab.close();
});

/** Since Linux 6.17 IPv6 is switched on for each link, as IPv4 is. */
const FORWARDING = [
  'ipv4/conf/lan/forwarding',
  existsSync('/proc/sys/net/ipv6/conf/lo/force_forwarding')
    ? 'ipv6/conf/lan/force_forwarding'
    : 'ipv6/conf/all/forwarding',
];

const forwarding = (node: LabNode) =>
  node.inside(() => FORWARDING.map((name) => readFileSync(`/proc/sys/net/${name}`, 'utf8').trim()));

async function reachEachOther(): Promise<void> {
  for (const [from, to] of [
    ['client', '192.168.2.10'],
    ['server', '192.168.1.10'],
    ['client', 'fd02::10'],
    ['server', 'fd01::10'],
  ] as const) {
    // oxlint-disable-next-line no-await-in-loop -- one after another, so that failures tell where
    const { sent, received, text } = await ping(lab.node(from), to, ['-c', '4', '-i', '0.02', '-W', '2']);
    expect(received, `${from} to ${to}: ${text}`).toBe(sent);
  }
}

describe('two sites', () => {
  it('reach each other, IPv4 and IPv6, ping and TCP; the hosts are as before afterwards', async () => {
    const sides = ['a', 'b'].map((name) => lab.node(name));
    const before = sides.map((node) => ({
      snapshot: takeSnapshot({ netns: node.path }),
      forwarding: forwarding(node),
    }));
    expect(before[0]!.forwarding).toEqual(['0', '0']);
    const servers = await lab.startBoth(OPTIONS);
    expect(forwarding(sides[0]!)).toEqual(['1', '1']);
    await reachEachOther();
    for (const address of ['192.168.2.10', 'fd02::10']) {
      // oxlint-disable-next-line no-await-in-loop
      await transferTcp({ from: lab.node('client'), to: lab.node('server'), address, bytes: 5e6 });
    }
    for (const server of servers) {
      // oxlint-disable-next-line no-await-in-loop
      const { connections, totals } = await server.status();
      expect(totals).toMatchObject({ malformed: 0, tunWriteErrors: 0 });
      for (const { paths } of connections) {
        for (const path of paths) {
          expect(path.sentPackets).toBeGreaterThan(10);
          expect(path.receivedPackets).toBeGreaterThan(10);
        }
      }
    }
    for (const server of servers) {
      // oxlint-disable-next-line no-await-in-loop
      expect(await server.stop()).toBe(0);
    }
    for (const [index, node] of sides.entries()) {
      expect(diffSnapshots(before[index]!.snapshot, takeSnapshot({ netns: node.path }))).toEqual([]);
      expect(forwarding(node)).toEqual(before[index]!.forwarding);
    }
  });

  it('reach each other with the original on one side', async () => {
    // The original leaves forwarding to the operator.
    lab.node('b').setSysctl('ipv4/ip_forward', 1);
    lab.node('b').setSysctl('ipv6/conf/all/forwarding', 1);
    lab.startPeer('b', OPTIONS);
    await lab.start('a', lab.folder('a', OPTIONS));
    await reachEachOther();
    await transferTcp({
      from: lab.node('server'),
      to: lab.node('client'),
      address: '192.168.1.10',
      bytes: 1e6,
    });
  });

  it('a packet that belongs to no connection is counted and goes nowhere', async () => {
    const [a] = await lab.startBoth(OPTIONS);
    const { received } = await ping(lab.node('a'), '10.0.0.77', ['-c', '2', '-i', '0.02', '-W', '0.3']);
    expect(received).toBe(0);
    expect((await a.status()).totals.noConnection).toBeGreaterThanOrEqual(2);
  });

  it('the whole Internet of one site goes through the tunnel, and the paths do not', async () => {
    const options: PairOptions = {
      reorderWindow: 900,
      networks: [{ source: '192.168.1.0/24', destination: '0.0.0.0/0' }],
    };
    // Who is a router to everywhere is the administrator's decision.
    lab.node('b').setSysctl('ipv4/conf/lan/forwarding', 1);
    await lab.startBoth(options);
    const { received, sent } = await ping(lab.node('client'), '192.168.2.10');
    expect(received).toBe(sent);
    for (const side of ['a', 'b'] as const) {
      const route = lab
        .node(side)
        .netlink.lookupRoute({ destination: side === 'a' ? '10.1.1.3' : '10.1.1.2' });
      expect(route.linkIndex).toBe(lab.node(side).linkIndex('eth1'));
    }
  });
});
