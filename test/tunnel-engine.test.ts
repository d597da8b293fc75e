/**
 * The engine's own promises, through `mptsrv` in the guide's figure 3: what is reloaded, restarted or replaced under
 * load loses nothing; addresses and links that change are followed; a start that fails leaves nothing.
 *
 *     a  eth1 ──────────── eth1  b
 *        eth2 ──────────── eth2
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prefix } from '../src/lab/index.ts';
import { pathAddress, pathKeys, section, tunnelAddress, type PairOptions } from './support/tunnel-config.ts';
import { answerOf, eventually, ping, TunnelLab, type TunnelServer } from './support/tunnel-lab.ts';
import { UdpFlow } from './support/tunnel-traffic.ts';

const OPTIONS: PairOptions = { keepaliveS: 1, deadS: 3, reorderWindow: 100, maxDelayMs: 500 };

let lab: TunnelLab;

beforeEach(async () => {
  lab = await TunnelLab.build();
});

afterEach(async () => {
  await lab.close();
});

const flow = (): UdpFlow =>
  new UdpFlow({
    from: lab.node('a'),
    fromAddress: tunnelAddress('a', 4),
    to: lab.node('b'),
    address: tunnelAddress('b', 4),
  });

/** Packets flow in both ways of time around `work`, and all of them arrive once. */
async function withoutLoss(work: () => Promise<void>): Promise<void> {
  const udp = flow();
  try {
    udp.start(1, 2);
    await eventually('packets flow', () => udp.distinct >= 50);
    await work();
    const sent = udp.sent;
    await eventually('packets flow on', () => udp.distinct >= sent + 50);
    udp.pause();
    await eventually('all arrive', () => udp.distinct >= udp.sent, 3000).catch(() => {});
    expect(udp.distinct).toBe(udp.sent);
    expect(udp.doubled).toBe(0);
  } finally {
    udp.close();
  }
}

const known = (server: TunnelServer): Promise<unknown> =>
  eventually('the peer is known', async () => (await server.connection()).paths.every((path) => path.isWeft));

/** A connection file of side a with something changed. */
function changed(server: TunnelServer, from: RegExp, to: string): void {
  const text = server.folder.read('connections/ipv4.conf');
  const other = text.replace(from, to);
  expect(other).not.toBe(text);
  server.folder.write('connections/ipv4.conf', other);
}

describe('under load nothing is lost', () => {
  it('when everything is reloaded and has not changed, or only something else has', async () => {
    const [a] = await lab.startBoth({ ...OPTIONS, inner: [4, 6] });
    await withoutLoss(async () => {
      expect(answerOf(await a.mpt('reload'))).toBe('CMD_OK:reload\n');
      const text = a.folder.read('connections/ipv6.conf');
      a.folder.write('connections/ipv6.conf', text.replace('reorder_window = 100', 'reorder_window = 50'));
      expect(answerOf(await a.mpt('reload'))).toBe('CMD_OK:reload\n');
      expect((await a.connection('ipv6.conf')).reorderWindow).toBe(50);
    });
  });

  it('when the connection itself has other weights, another window, other timers', async () => {
    const [a, b] = await lab.startBoth(OPTIONS);
    await known(b);
    await withoutLoss(async () => {
      changed(a, /weight_out = 1/, 'weight_out = 7');
      expect(answerOf(await a.mpt('reload', 'ipv4.conf'))).toBe('CMD_OK:reload ipv4.conf\n');
      expect((await a.connection()).paths[0]).toMatchObject({ weightOut: 7 });
      changed(a, /keepalive_time = 1/, 'keepalive_time = 2');
      expect(answerOf(await a.mpt('reload'))).toBe('CMD_OK:reload\n');
    });
    expect((await b.connection()).restarts).toBe(0);
  });

  it('when the connection is restarted at either end', async () => {
    const [a, b] = await lab.startBoth(OPTIONS);
    await known(a);
    await withoutLoss(async () => {
      expect(answerOf(await a.mpt('restart'))).toBe('CMD_OK:restart\n');
      expect(answerOf(await b.mpt('restart', 'ipv4.conf'))).toBe('CMD_OK:restart ipv4.conf\n');
      await known(a);
      await known(b);
    });
    expect((await b.connection()).restarts).toBe(0);
  });

  it('when a path is set down and up by hand', async () => {
    const [a] = await lab.startBoth(OPTIONS);
    await known(a);
    await withoutLoss(async () => {
      const path = [pathAddress('a', 1, 4), pathAddress('b', 1, 4)] as const;
      expect(answerOf(await a.mpt('path', 'down', ...path))).toMatch(/^CMD_OK:/);
      await a.pathsAre(131, 0);
      expect(answerOf(await a.mpt('path', 'up', ...path))).toMatch(/^CMD_OK:/);
      await a.pathsAre(0, 0);
    });
  });

  it('when the command port and the MTU become others', async () => {
    const [a] = await lab.startBoth(OPTIONS);
    await withoutLoss(async () => {
      const text = a.folder.read('interface.conf');
      a.folder.write('interface.conf', text.replace('60456', '60999').replace('mtu = 1440', 'mtu = 1400'));
      const answer = await lab.node('a').run(['true']);
      expect(answer.code).toBe(0);
      a.program.process.kill('SIGHUP');
      await eventually('the port is another', async () => (await a.status()).tunnel.commandPort === 60_999);
      expect((await a.status()).tunnel.mtu).toBe(1400);
      expect(answerOf(await a.mpt('show', 'status'))).toContain('CMD server port number  : 60999');
    });
  });
});

describe('a file with a key that counts for nothing', () => {
  it('is told at a reload, once', async () => {
    const [a] = await lab.startBoth(OPTIONS);
    changed(a, /reorder_window = 100/, 'reorder_windw = 100');
    for (let i = 0; i < 2; i++) expect(answerOf(await a.mpt('reload'))).toBe('CMD_OK:reload\n');
    await eventually('it is told', () => a.program.stderr.includes('reorder_windw'));
    expect(a.program.stderr.match(/ipv4\.conf:\d+: reorder_windw = "100".*did you mean/g)).toHaveLength(1);
  });
});

describe('a file with an error', () => {
  it('changes nothing at a reload, and is told with its line', async () => {
    const [a] = await lab.startBoth(OPTIONS);
    await withoutLoss(async () => {
      changed(a, /reorder_window = 100/, 'reorder_window = 20000');
      expect(answerOf(await a.mpt('reload'))).toMatch(
        /^CMD-ERROR:Reload unsuccessful.*ipv4\.conf:\d+: .*20000/,
      );
      expect(answerOf(await a.mpt('reload', 'ipv4.conf'))).toMatch(/^CMD-ERROR:/);
      expect((await a.connection()).reorderWindow).toBe(100);
    });
  });

  it('of interface.conf neither', async () => {
    const [a] = await lab.startBoth(OPTIONS);
    const text = a.folder.read('interface.conf');
    a.folder.write('interface.conf', text.replace('tunnel_num = 1', 'tunnel_num = 0'));
    expect(answerOf(await a.mpt('-60456', 'reload'))).toMatch(
      /^CMD-ERROR:Reload unsuccessful.*interface\.conf/,
    );
    expect((await a.status()).tunnel.commandPort).toBe(60_456);
  });
});

describe('another tunnel interface', () => {
  it('takes the place of the former one at a reload', async () => {
    const [a, b] = await lab.startBoth(OPTIONS);
    const text = a.folder.read('interface.conf');
    a.folder.write('interface.conf', text.replace('name = tun0', 'name = tun7'));
    expect(answerOf(await a.mpt('reload'))).toBe('CMD_OK:reload\n');
    expect(lab.node('a').netlink.linkByName('tun0')).toBeUndefined();
    expect((await ping(lab.node('a'), tunnelAddress('b', 4))).received).toBe(3);
    await eventually('b sees the restart', async () =>
      (await b.connection()).paths.every((path) => path.isUsable),
    );
  });

  it('that cannot be made leaves the former one', async () => {
    const [a] = await lab.startBoth(OPTIONS);
    const text = a.folder.read('interface.conf');
    a.folder.write('interface.conf', text.replace('name = tun0', 'name = eth1'));
    expect(answerOf(await a.mpt('reload'))).toMatch(/^CMD-ERROR:Reload unsuccessful.*"eth1"/);
    expect((await ping(lab.node('a'), tunnelAddress('b', 4))).received).toBe(3);
  });
});

/** Gives a link of a node another address in the same subnet, and takes the former one away. */
function renumber(side: 'a' | 'b', link: string, from: string, to: string): void {
  const { netlink, linkIndex } = {
    netlink: lab.node(side).netlink,
    linkIndex: lab.node(side).linkIndex(link),
  };
  // The first of a subnet takes the others with it, so it goes first.
  netlink.deleteAddress({ linkIndex, address: from, prefixLength: 24 });
  netlink.addAddress({ linkIndex, address: to, prefixLength: 24 });
}

describe('an address that changes', () => {
  const moving: PairOptions = {
    ...OPTIONS,
    authType: 2,
    authKey: 'C0FFEE00C0FFEE00C0FFEE00C0FFEE00',
  };

  /** Side a takes whatever address eth1 has. */
  async function start(options: PairOptions): Promise<readonly [TunnelServer, TunnelServer]> {
    const folder = lab.folder('a', options);
    const text = folder.read('connections/ipv4.conf');
    const own = section('path_0', pathKeys('a', 1, options));
    const any = section('path_0', {
      ...pathKeys('a', 1, options),
      private_ipaddr: '0.0.0.0',
      public_ipaddr: 'private_ipaddr',
      gw_ipaddr: '0.0.0.0',
    });
    expect(text).toContain(own);
    folder.write('connections/ipv4.conf', text.replace(own, any));
    const servers = await Promise.all([lab.start('b', lab.folder('b', options)), lab.start('a', folder)]);
    return [servers[1], servers[0]];
  }

  it('is followed, and learned by the peer with a key', async () => {
    const [a, b] = await start(moving);
    await known(a);
    await known(b);
    renumber('a', 'eth1', '10.1.1.2', '10.1.1.77');
    await eventually(
      'the socket has it',
      async () => (await a.connection()).paths[0]!.privateAddress === '10.1.1.77',
    );
    await eventually(
      'the peer has it',
      async () => (await b.connection()).paths[0]!.remoteAddress === '10.1.1.77',
    );
    await a.pathsAre(0, 0);
    await b.pathsAre(0, 0);
    const before = (await b.connection()).paths.map((path) => path.sentPackets);
    await withoutLoss(async () => {});
    const pinged = await ping(lab.node('b'), tunnelAddress('a', 4), ['-c', '20', '-i', '0.02', '-W', '2']);
    expect(pinged.received).toBe(20);
    const after = (await b.connection()).paths.map((path) => path.sentPackets);
    expect(after[0]!).toBeGreaterThan(before[0]! + 5);
  });

  it('is not learned without a key: the path goes down at the peer', async () => {
    const [a, b] = await start(OPTIONS);
    await known(b);
    renumber('a', 'eth1', '10.1.1.2', '10.1.1.77');
    await eventually('the path is left by both', async () => {
      const both = await Promise.all([a.connection(), b.connection()]);
      return both.every(({ paths }) => !paths[0]!.isUsable && paths[1]!.isUsable);
    });
    expect((await ping(lab.node('a'), tunnelAddress('b', 4))).received).toBe(3);
    renumber('a', 'eth1', '10.1.1.77', '10.1.1.2');
    await a.pathsAre(0, 0);
    await b.pathsAre(0, 0);
  });

  it('that comes late is taken then', async () => {
    const linkIndex = lab.node('a').linkIndex('eth1');
    lab.node('a').netlink.deleteAddress({ linkIndex, address: '10.1.1.2', prefixLength: 24 });
    const [a, b] = await start(OPTIONS);
    await a.pathsAre(129, 0);
    await b.pathsAre(128, 0);
    expect((await ping(lab.node('a'), tunnelAddress('b', 4))).received).toBe(3);
    lab.node('a').netlink.addAddress({ linkIndex, address: '10.1.1.2', prefixLength: 24 });
    await a.pathsAre(0, 0);
    await b.pathsAre(0, 0);
    expect((await a.connection()).paths.map((path) => path.localPort)).toEqual([23_456, 23_456]);
  });

  it('that is configured and not there is waited for', async () => {
    const linkIndex = lab.node('a').linkIndex('eth1');
    lab.node('a').netlink.deleteAddress({ linkIndex, address: '10.1.1.2', prefixLength: 24 });
    const [a, b] = await lab.startBoth(OPTIONS);
    await a.pathsAre(129, 0);
    const lacks = async () => (await a.connection()).paths.map((path) => path.lacks);
    expect(await lacks()).toEqual(['address', undefined]);
    expect(a.program.stderr).toContain('path 0 waits: this host has no address 10.1.1.2');
    lab.node('a').netlink.addAddress({ linkIndex, address: '10.1.1.2', prefixLength: 24 });
    await a.pathsAre(0, 0);
    await b.pathsAre(0, 0);
    expect(await lacks()).toEqual([undefined, undefined]);
  });
});

describe('any data port', () => {
  it('is one for all paths', async () => {
    const options: PairOptions = { ...OPTIONS, connection: { local_port: 0 }, acceptRemote: true };
    const a = await lab.start('a', lab.folder('a', options));
    const { paths } = await a.connection();
    expect(paths[0]!.localPort).toBeGreaterThan(0);
    expect(paths[1]!.localPort).toBe(paths[0]!.localPort);
  });
});

describe('two paths from one address', () => {
  it('get each its own packets', async () => {
    const node = lab.node('b');
    const linkIndex = node.linkIndex('eth1');
    node.netlink.addAddress({ linkIndex, address: '10.1.1.33', prefixLength: 24 });
    const write = (side: 'a' | 'b') => {
      const folder = lab.folder(side, OPTIONS);
      const text = folder.read('connections/ipv4.conf');
      const second = section('path_1', pathKeys(side, 2, OPTIONS));
      const mine = side === 'a' ? '10.1.1.2' : '10.1.1.33';
      const other = section('path_1', {
        ...pathKeys(side, 2, OPTIONS),
        interface_name: 'eth1',
        public_ipaddr: mine,
        private_ipaddr: mine,
        gw_ipaddr: mine,
        remote_ipaddr: side === 'a' ? '10.1.1.33' : '10.1.1.2',
      });
      expect(text).toContain(second);
      folder.write('connections/ipv4.conf', text.replace(second, other));
      return folder;
    };
    const [a, b] = await Promise.all([lab.start('a', write('a')), lab.start('b', write('b'))]);
    await known(a);
    await known(b);
    await withoutLoss(async () => {});
    for (const server of [a, b]) {
      const { paths } = await server.connection();
      expect(paths.map(({ status }) => status)).toEqual([0, 0]);
      expect(paths.map(({ strangers }) => strangers)).toEqual([0, 0]);
    }
  });
});

describe('a start that fails', () => {
  it('leaves no link, no route and no port', async () => {
    const node = lab.node('a');
    const before = node.netlink.routes().length;
    const folder = lab.folder('a', OPTIONS);
    const text = folder.read('connections/ipv4.conf');
    // The second connection's port is taken by somebody.
    folder.write(
      'connections/second.conf',
      text
        .replace(/local_port = \d+/, 'local_port = 4999')
        .replace(/ip_remote = .*/, 'ip_remote = 10.0.0.99')
        .replaceAll(/remote_ipaddr = 10\.(\d)\.\d\.3/g, 'remote_ipaddr = 10.$1.$1.99'),
    );
    const squatter = new UdpFlow({
      from: node,
      fromAddress: '127.0.0.1',
      to: node,
      address: pathAddress('a', 2, 4),
      port: 4999,
    });
    try {
      await expect(lab.start('a', folder)).rejects.toThrow(/second\.conf.*EADDRINUSE/s);
      expect(node.netlink.linkByName('tun0')).toBeUndefined();
      expect(node.netlink.routes().length).toBe(before);
    } finally {
      squatter.close();
    }
    const a = await lab.start('a', folder);
    expect((await a.status()).connections.length).toBe(2);
    await a.mpt('delete', 'second.conf');
    expect((await a.status()).connections.length).toBe(1);
    expect(prefix('10.0.0.99/32').length).toBe(32);
  });
});

describe('the tunnel’s link', () => {
  it('gets its addresses back, which the kernel or another program took off', async () => {
    const [a] = await lab.startBoth({ ...OPTIONS, inner: [4, 6] });
    const passes = (version: 4 | 6) =>
      eventually(`IPv${version} passes`, async () => {
        const once = await ping(lab.node('a'), tunnelAddress('b', version), ['-c', '1', '-W', '0.3']);
        return once.received === 1;
      });
    await passes(4);
    await passes(6);
    const { netlink } = lab.node('a');
    const { index } = netlink.linkByName('tun0')!;
    netlink.deleteAddress({ linkIndex: index, address: '10.0.0.2', prefixLength: 24 });
    await passes(4);
    // The kernel keeps the IPv4 address of a link that is off, not the IPv6 one.
    netlink.setLink(index, { up: false });
    netlink.setLink(index, { up: true });
    await passes(6);
    await passes(4);
    expect((await a.status()).tunnel.troubles.join('\n')).toContain('fec0::2 of tun0 was gone');
  });

  it('is made anew with everything when somebody deletes it, and what a peer made stays', async () => {
    const options: PairOptions = { ...OPTIONS, acceptRemote: true, empty: 'b' };
    const [a, b] = await lab.startBoth(options);
    expect(answerOf(await a.mpt('create', 'ipv4.conf'))).toBe('CMD_OK:create ipv4.conf\n');
    expect((await ping(lab.node('a'), tunnelAddress('b', 4))).received).toBe(3);
    for (const side of ['a', 'b'] as const) {
      const { netlink } = lab.node(side);
      const { index } = netlink.linkByName('tun0')!;
      netlink.deleteLink(index);
      await eventually('it is there again', () => {
        const link = netlink.linkByName('tun0');
        return link !== undefined && link.index !== index;
      });
    }
    await eventually('packets pass', async () => {
      const { received } = await ping(lab.node('a'), tunnelAddress('b', 4), ['-c', '1', '-W', '0.3']);
      return received === 1;
    });
    expect((await b.status()).connections.map(({ file, origin }) => `${file} ${origin}`)).toEqual([
      'peer_10_0_0_2.conf peer',
    ]);
    expect(answerOf(await a.mpt('reload'))).toBe('CMD_OK:reload\n');
    expect((await ping(lab.node('a'), tunnelAddress('b', 4))).received).toBe(3);
  });
});
