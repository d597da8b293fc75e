/**
 * What Weft peers measure and agree on, against the real kernel: round trip, jitter and loss of each path, timers below
 * a second, the MTU behind a router, a peer whose address is rewritten on the way.
 *
 *   pair (guide, figure 3)                     behind a router
 *
 *     a  eth1 ──────────── eth1  b               a  eth1 ── eth1  r  eth2 ── eth1  b
 *        eth2 ──────────── eth2                     10.1.1.2   .1   10.3.3.1   10.3.3.3
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BuiltTopology, prefix, type LabNode } from '../src/lab/index.ts';
import {
  COMMAND_PORT,
  DATA_PORTS,
  interfaceText,
  section,
  tunnelAddress,
  TunnelFolder,
  type PairOptions,
  type Side,
} from './support/tunnel-config.ts';
import { eventually, ping, TunnelLab, TunnelServer } from './support/tunnel-lab.ts';
import { UdpFlow } from './support/tunnel-traffic.ts';

const KEYED: PairOptions = { authType: 2, authKey: 'c0ffee00c0ffee00c0ffee00c0ffee00' };

async function nft(node: LabNode, program: string): Promise<void> {
  const { code, stderr } = await node.run(['nft', program]);
  if (code !== 0) throw new Error(`nft: ${stderr}`);
}

const pathsOf = async (server: TunnelServer) => (await server.connection()).paths;

const knowsPeer = (server: TunnelServer) =>
  eventually('the peer is known to be Weft', async () =>
    (await pathsOf(server)).every((path) => path.isWeft),
  );

describe('two paths', () => {
  let lab: TunnelLab;

  afterEach(async () => {
    await lab.close();
  });

  it('round trips of 100 ms and 10 ms are told apart, with their jitter', async () => {
    lab = await TunnelLab.build({ delayMs: [50, 5] });
    const servers = await lab.startBoth();
    for (const server of servers) {
      await knowsPeer(server);
      const [slow, quick] = await eventually('measures', async () => {
        const paths = await pathsOf(server);
        return paths.every(({ jitterUs }) => jitterUs !== undefined) && paths;
      });
      // What the machine adds is bounded by nothing but its load.
      expect(slow!.rttUs).toBeGreaterThan(99_000);
      expect(quick!.rttUs).toBeGreaterThan(9_900);
      expect(quick!.rttUs).toBeLessThan(slow!.rttUs!);
      expect(slow!.jitterUs).toBeGreaterThanOrEqual(0);
    }
  });

  it('loss is measured for each path and direction, idle and under load', async () => {
    lab = await TunnelLab.build();
    const [a, b] = await lab.startBoth();
    await Promise.all([a, b].map(knowsPeer));
    await nft(
      lab.node('b'),
      'table inet lossy { chain c { type filter hook input priority 0; iifname "eth1" udp dport 23456 numgen inc mod 4 0 drop; }; }',
    );
    const near = (ratio: number | undefined, wanted: number) =>
      ratio !== undefined && Math.abs(ratio - wanted) < 0.08;
    const udp = new UdpFlow({
      from: lab.node('a'),
      fromAddress: tunnelAddress('a', 4),
      to: lab.node('b'),
      address: tunnelAddress('b', 4),
    });
    try {
      udp.start(2, 5);
      await eventually('a quarter of the packets is lost on one path', async () => {
        const [first, second] = await pathsOf(a);
        return near(first!.lossRatio, 0.25) && near(second!.lossRatio, 0);
      });
      const [back, other] = await pathsOf(b);
      expect(near(back!.lossRatio ?? 0, 0)).toBe(true);
      expect(near(other!.lossRatio ?? 0, 0)).toBe(true);
    } finally {
      udp.close();
    }
    // The path is not given up for it.
    await a.pathsAre(0, 0);
    await nft(lab.node('b'), 'delete table inet lossy');
    await eventually('the loss is over', async () => near((await pathsOf(a))[0]!.lossRatio, 0), 60_000);
  }, 120_000);

  it('a path that falls silent is left within the agreed time, not the configured minute', async () => {
    lab = await TunnelLab.build();
    const [a, b] = await lab.startBoth({ keepaliveS: 20, deadS: 60 });
    await Promise.all([a, b].map(knowsPeer));
    for (const { keepaliveMs, deadMs } of await pathsOf(a)) {
      expect(keepaliveMs).toBeLessThanOrEqual(250);
      expect(deadMs).toBeLessThan(1000);
    }
    const udp = new UdpFlow({
      from: lab.node('a'),
      fromAddress: tunnelAddress('a', 4),
      to: lab.node('b'),
      address: tunnelAddress('b', 4),
    });
    try {
      udp.start();
      await eventually('short intervals of busy paths', async () =>
        (await pathsOf(b)).every((path) => path.keepaliveMs === 50 && path.deadMs < 500),
      );
      await lab.silence(1);
      // The configured 60 s are longer than anybody waits here.
      await a.pathsAre(128, 0);
      await b.pathsAre(128, 0);
      // The last path is given up later than one of several.
      expect((await pathsOf(a))[1]!.deadMs).toBe(950);
      await lab.silence(1, false);
      await a.pathsAre(0, 0);
      await b.pathsAre(0, 0);
    } finally {
      udp.close();
    }
  });

  it('short intervals are agreed on by two: seconds stay seconds if one end has no dead time', async () => {
    lab = await TunnelLab.build();
    const a = await lab.start('a', lab.folder('a', { keepaliveS: 1, deadS: 3 }));
    const b = await lab.start('b', lab.folder('b', { keepaliveS: 1, deadS: 0 }));
    await Promise.all([a, b].map(knowsPeer));
    await eventually('measures', async () => (await pathsOf(a)).every(({ rttUs }) => rttUs !== undefined));
    expect((await pathsOf(a)).map(({ keepaliveMs }) => keepaliveMs)).toEqual([1000, 1000]);
    expect((await pathsOf(b)).map(({ deadMs }) => deadMs)).toEqual([0, 0]);
  });

  it('an original at the other end: nothing is measured, the configured seconds count', async () => {
    lab = await TunnelLab.build();
    lab.startPeer('b');
    const a = await lab.start('a', lab.folder('a'));
    await eventually('it is heard', async () =>
      (await pathsOf(a)).every(({ keepalivesReceived }) => keepalivesReceived > 1),
    );
    for (const path of await pathsOf(a)) {
      expect(path).toMatchObject({ isWeft: false, keepaliveMs: 1000, deadMs: 3000, status: 0 });
      expect(path.rttUs).toBeUndefined();
    }
  });

  it('a restart of the peer is noticed at once, and measures go on', async () => {
    lab = await TunnelLab.build();
    const folder = lab.folder('b', KEYED);
    const a = await lab.start('a', lab.folder('a', KEYED));
    const first = await lab.start('b', folder);
    await knowsPeer(a);
    await first.stop('SIGKILL');
    await a.pathsAre(128, 128);
    const b = await lab.start('b', folder);
    await Promise.all([knowsPeer(b), a.pathsAre(0, 0)]);
    await b.pathsAre(0, 0);
    expect((await pathsOf(a)).map(({ peerRestarts }) => peerRestarts)).toEqual([1, 1]);
    expect((await ping(lab.node('a'), tunnelAddress('b', 4))).received).toBe(3);
  });

  /** Source and port of what a sends over eth1 to b's data port are rewritten, and back; without any memory. */
  const rewrite = (address: string, port: number) =>
    nft(
      lab.node('a'),
      `table ip moved { chain out { type filter hook output priority -300; oifname "eth1" udp dport 23456 ip saddr set ${address} udp sport set ${port} notrack; }; ` +
        `chain in { type filter hook prerouting priority -300; iifname "eth1" ip daddr ${address} udp sport 23456 udp dport ${port} notrack ip daddr set 10.1.1.2 udp dport set 23456; }; }`,
    );

  it.each([
    ['with a key is followed wherever it goes', KEYED, true],
    ['without a key is a stranger', {}, false],
    ['with the key that everybody knows is a stranger, too', { authType: 2 }, false],
  ] as const)('a peer %s', async (_, options, isFollowed) => {
    lab = await TunnelLab.build();
    const [a, b] = await lab.startBoth(options);
    await Promise.all([a, b].map(knowsPeer));
    for (const address of ['10.1.1.22', '10.1.1.33']) {
      await lab.node('a').run(['ip', 'address', 'add', `${address}/24`, 'dev', 'eth1']);
    }
    await rewrite('10.1.1.22', 40_001);
    if (!isFollowed) {
      // What its status is changes: nothing is heard, but what is sent arrives, as the peer says over the other path.
      await eventually('keepalives to be refused', async () => {
        const [path] = await pathsOf(b);
        return path!.strangers > 0 && path!.keepalivesRefused > 0;
      });
      expect((await pathsOf(b))[0]!.remoteAddress).toBe('10.1.1.2');
      return;
    }
    for (const [address, port] of [
      ['10.1.1.22', 40_001],
      ['10.1.1.33', 40_002],
    ] as const) {
      await nft(lab.node('a'), 'delete table ip moved');
      await rewrite(address, port);
      await eventually(`the peer is at ${address}`, async () => {
        const [path] = await pathsOf(b);
        return path!.remoteAddress === address && path!.remotePort === port && path!.status === 0;
      });
      await a.pathsAre(0, 0);
      const { sent, received, text } = await ping(lab.node('b'), tunnelAddress('a', 4), [
        '-c',
        '8',
        '-i',
        '0.02',
        '-W',
        '2',
      ]);
      expect(received, text).toBe(sent);
    }
  });
});

describe('a server that does not know where its peer is', () => {
  let lab: TunnelLab;

  afterEach(async () => {
    await lab.close();
  });

  it('finds it by the key', async () => {
    lab = await TunnelLab.build();
    const folder = lab.folder('b', KEYED);
    const name = 'connections/ipv4.conf';
    folder.write(name, folder.read(name).replace(/^remote_ipaddr = .*$/gm, 'remote_ipaddr = 0.0.0.0'));
    const [b, a] = [await lab.start('b', folder), await lab.start('a', lab.folder('a', KEYED))];
    await Promise.all([a, b].map(knowsPeer));
    expect((await pathsOf(b)).map(({ remoteAddress }) => remoteAddress)).toEqual(['10.1.1.2', '10.2.2.2']);
    await Promise.all([a.pathsAre(0, 0), b.pathsAre(0, 0)]);
    for (const [from, to] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const { sent, received, text } = await ping(lab.node(from), tunnelAddress(to, 4));
      expect(received, text).toBe(sent);
    }
    expect(await b.stop()).toBe(0);
  });
});

describe('a path through a router', () => {
  const ADDRESSES: Readonly<Record<Side, readonly [own: string, gateway: string, remote: string]>> = {
    a: ['10.1.1.2', '10.1.1.1', '10.3.3.3'],
    b: ['10.3.3.3', '10.3.3.1', '10.1.1.2'],
  };
  let built: BuiltTopology;
  /** UNBOUNDED: what a test started. */
  let servers: TunnelServer[];
  let folders: TunnelFolder[];

  beforeEach(async () => {
    servers = [];
    folders = [];
    built = await BuiltTopology.build({
      nodes: [
        { name: 'a', routes: [] },
        { name: 'r', forwards: true, routes: [] },
        { name: 'b', routes: [] },
      ],
      links: [
        {
          name: 'near',
          ends: [
            { node: 'a', name: 'eth1', addresses: [prefix('10.1.1.2/24')] },
            { node: 'r', name: 'eth1', addresses: [prefix('10.1.1.1/24')] },
          ],
        },
        {
          name: 'far',
          ends: [
            { node: 'r', name: 'eth2', addresses: [prefix('10.3.3.1/24')] },
            { node: 'b', name: 'eth1', addresses: [prefix('10.3.3.3/24')] },
          ],
        },
      ],
    });
  });

  afterEach(async () => {
    await Promise.allSettled(servers.map((server) => server.stop()));
    await built.close();
    for (const folder of folders) folder.remove();
  });

  async function start(side: Side): Promise<TunnelServer> {
    const [own, gateway, remote] = ADDRESSES[side];
    const connection = (isTemplate: boolean) =>
      section('connection', {
        name: 'routed',
        permission: 3,
        ip_ver: 4,
        ip_local: tunnelAddress(side, 4),
        local_port: isTemplate ? 65_060 : DATA_PORTS[4],
        ip_remote: isTemplate ? undefined : tunnelAddress(side === 'a' ? 'b' : 'a', 4),
        remote_port: DATA_PORTS[4],
        remote_cmd_port: COMMAND_PORT,
        path_count: 1,
        network_count: 0,
        status: 0,
        reorder_window: 0,
        auth_type: 0,
      }) +
      section('path_0', {
        interface_name: 'eth1',
        ip_ver: 4,
        public_ipaddr: own,
        private_ipaddr: own,
        gw_ipaddr: gateway,
        remote_ipaddr: remote,
        keepalive_time: 1,
        dead_time: 3,
        weight_in: 1,
        weight_out: 1,
      });
    const folder = new TunnelFolder({
      interface: interfaceText(side, { mtu: 1464 }),
      template: connection(true),
      connections: { 'ipv4.conf': connection(false) },
    });
    folders.push(folder);
    const server = await TunnelServer.start(built.node(side), folder);
    servers.push(server);
    return server;
  }

  const setMtu = (node: string, link: string, mtuBytes: number) => {
    const at = built.node(node);
    at.netlink.setLink(at.linkIndex(link), { mtuBytes });
  };

  const mtuOf = async (server: TunnelServer) => (await pathsOf(server))[0]!.mtu;

  /** The router says nothing of what it drops. */
  const muteRouter = () =>
    nft(
      built.node('r'),
      'table ip mute { chain c { type filter hook output priority 0; ip protocol icmp drop; }; }',
    );

  const narrow = () => {
    setMtu('r', 'eth2', 1400);
    setMtu('b', 'eth1', 1400);
  };

  it('that is narrower than the links and silent about it: the MTU is found, and everything goes through', async () => {
    narrow();
    await muteRouter();
    const [a, b] = [await start('a'), await start('b')];
    await eventually(
      'the MTU is found',
      async () => (await mtuOf(a)) > 1392 && (await mtuOf(a)) <= 1400,
      60_000,
    );
    expect(await mtuOf(b)).toBe(1400);
    expect((await a.connection()).innerMtu).toBeLessThanOrEqual(1400 - 32);
    // 1500 bytes of a local sender are answered by the tunnel, and the sender makes fragments.
    const { received, text } = await ping(built.node('a'), tunnelAddress('b', 4), [
      '-c',
      '4',
      '-i',
      '0.1',
      '-W',
      '2',
      '-s',
      '1400',
    ]);
    expect(received, text).toBe(4);
  }, 90_000);

  it('that becomes narrower under load: the black hole is noticed, and traffic goes on', async () => {
    const [a] = [await start('a'), await start('b')];
    await eventually('the peer is known', async () => (await pathsOf(a))[0]!.isWeft);
    expect(await mtuOf(a)).toBe(1500);
    await muteRouter();
    const udp = new UdpFlow({
      from: built.node('a'),
      fromAddress: tunnelAddress('a', 4),
      to: built.node('b'),
      address: tunnelAddress('b', 4),
      bytes: 1400,
    });
    try {
      udp.start(1, 5);
      await eventually('traffic', () => udp.arrived.length > 100);
      narrow();
      await eventually('the MTU is lower', async () => (await mtuOf(a)) <= 1400, 60_000);
      const before = udp.arrived.length;
      await eventually('traffic goes on', () => udp.arrived.length > before + 100);
    } finally {
      udp.close();
    }
  }, 90_000);
});
