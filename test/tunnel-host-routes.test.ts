/**
 * The tunnel's routes against the kernel. The host is drawn in support/up-host.ts, with the tunnel beside:
 *
 *    ns wth-host  c1  10.1.0.2/24  2001:db8:1::2/64   default via 10.1.0.1 metric 100
 *                 c2  10.2.0.2/24  2001:db8:2::2/64   default via 10.2.0.1 metric 200
 *                 tun0  10.9.0.2/24  fd09::2/64
 *
 * What is expected is what Debian's ip prints.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prefix } from '../src/lab/index.ts';
import { RouteNetlink } from '../src/netlink/index.ts';
import { HostLedger, MemoryJournal, type HostJournal } from '../src/tunnel/host/host-journal.ts';
import {
  wantedRoutes,
  type RoutedConnection,
  type RoutedPath,
  type WantedRoute,
} from '../src/tunnel/host/plan-routes.ts';
import { TunnelDevice } from '../src/tunnel/host/tunnel-device.ts';
import { TunnelRoutes } from '../src/tunnel/host/tunnel-routes.ts';
import { until, UpHost } from './support/up-host.ts';

let host: UpHost;
let device: TunnelDevice;
let netlink: RouteNetlink;
let journal: MemoryJournal;
let routes: TunnelRoutes;

beforeEach(() => {
  host = new UpHost('wth-');
  for (const n of [1, 2]) host.addUplink(n);
  device = TunnelDevice.open({
    name: 'tun0',
    mtuBytes: 1440,
    ipv4: prefix('10.9.0.2/24'),
    ipv6: prefix('fd09::2/64'),
    netns: host.path,
  });
  netlink = RouteNetlink.open({ netns: host.path });
  journal = new MemoryJournal();
  routes = new TunnelRoutes(netlink, new HostLedger(journal), host.path);
});

afterEach(async () => {
  device.close();
  netlink.close();
  await host.close();
});

/** What stands in the main table and was not there before, as ip prints it. */
const weftRoutes = () => host.table(254).filter((line) => / proto 178\b/.test(line));

const linkIndex = (name: string) => netlink.linkByName(name)!.index;

const path = (n: number, rest: Partial<RoutedPath> = {}): RoutedPath => ({
  interfaceName: `c${n}`,
  linkIndex: linkIndex(`c${n}`),
  remoteAddress: '203.0.113.5',
  gateway: `10.${n}.0.1`,
  ...rest,
});

function wanted(connection: Partial<RoutedConnection>): readonly WantedRoute[] {
  const tunnel = {
    name: 'tun0',
    linkIndex: device.linkIndex,
    ipv4: prefix('10.9.0.2/24'),
    ipv6: prefix('fd09::2/64'),
  };
  return wantedRoutes(tunnel, [
    { localAddress: '10.9.0.2', remoteAddress: '10.9.0.3', paths: [], networks: [], ...connection },
  ]);
}

const network = (destination: string, ipVersion: 4 | 6 = 4) => ({
  ipVersion,
  source: prefix(ipVersion === 4 ? '192.168.1.0/24' : 'fd01::/64'),
  destination: prefix(destination),
});

const wayOf = (to: string, rest = '') =>
  /via (\S+) dev (\S+)|dev (\S+)/.exec(host.ip(`route get ${to}${rest}`));

describe('what a connection needs', () => {
  it('is a route to each path’s remote by its gateway and link, to the peer and to its networks', () => {
    const outcome = routes.apply(
      wanted({
        paths: [path(1, { remoteAddress: '203.0.113.5' }), path(2, { remoteAddress: '203.0.113.6' })],
        networks: [network('192.168.2.0/24')],
      }),
    );
    expect(outcome).toEqual({ problems: [], news: [], added: 4, removed: 0 });
    expect(weftRoutes()).toEqual(
      [
        '10.9.0.3 dev tun0 proto 178 scope link src 10.9.0.2',
        '192.168.2.0/24 dev tun0 proto 178 scope link src 10.9.0.2',
        '203.0.113.5 via 10.1.0.1 dev c1 proto 178',
        '203.0.113.6 via 10.2.0.1 dev c2 proto 178',
      ].sort(),
    );
    const before = journal.record;
    expect(
      routes.apply(
        wanted({
          paths: [path(1, { remoteAddress: '203.0.113.5' }), path(2, { remoteAddress: '203.0.113.6' })],
          networks: [network('192.168.2.0/24')],
        }),
      ),
    ).toMatchObject({ added: 0, removed: 0 });
    expect(journal.record).toBe(before);
    expect(routes.removeAll()).toMatchObject({ problems: [], removed: 4 });
    expect(weftRoutes()).toEqual([]);
    expect(journal.record.routes).toEqual([]);
  });

  it('is the same for IPv6, and a gateway may be link-local', () => {
    routes.apply(
      wanted({
        localAddress: 'fd09::2',
        remoteAddress: 'fd09::3',
        paths: [path(1, { remoteAddress: '2001:db8:9::5', gateway: 'fe80::1' })],
        networks: [network('fd02::/64', 6)],
      }),
    );
    expect(weftRoutes()).toEqual([
      '2001:db8:9::5 via fe80::1 dev c1 proto 178 metric 1024 pref medium',
      'fd02::/64 dev tun0 proto 178 src fd09::2 metric 1024 pref medium',
      'fd09::3 dev tun0 proto 178 src fd09::2 metric 1024 pref medium',
    ]);
    routes.removeAll();
    expect(weftRoutes()).toEqual([]);
  });

  it('two paths to one remote address: each link has its route, and a socket of that link takes it', () => {
    const outcome = routes.apply(wanted({ paths: [path(1), path(2)] }));
    expect(outcome.problems).toEqual([]);
    expect(weftRoutes().filter((line) => line.startsWith('203'))).toEqual([
      '203.0.113.5 via 10.1.0.1 dev c1 proto 178',
      '203.0.113.5 via 10.2.0.1 dev c2 proto 178 metric 1',
    ]);
    expect(wayOf('203.0.113.5', ' oif c1')?.slice(1, 3)).toEqual(['10.1.0.1', 'c1']);
    expect(wayOf('203.0.113.5', ' oif c2')?.slice(1, 3)).toEqual(['10.2.0.1', 'c2']);
    // The first one's going does not move the second.
    routes.apply(wanted({ paths: [path(2)] }));
    expect(weftRoutes().filter((line) => line.startsWith('203'))).toEqual([
      '203.0.113.5 via 10.2.0.1 dev c2 proto 178 metric 1',
    ]);
    routes.apply(wanted({ paths: [path(1), path(2)] }));
    expect(weftRoutes().filter((line) => line.startsWith('203'))).toHaveLength(2);
  });

  it('two paths to one remote address under a strict reverse path filter: it is told what to do', () => {
    host.node.setSysctl('ipv4/conf/c2/rp_filter', 1);
    expect(routes.apply(wanted({ paths: [path(1), path(2)] })).news).toEqual([
      'path to 203.0.113.5 on "c2": the kernel drops what comes in there, because another link leads to that address first and the reverse path filter is strict — set net.ipv4.conf.c2.rp_filter to 2',
    ]);
    host.node.setSysctl('ipv4/conf/all/rp_filter', 2);
    expect(routes.apply(wanted({ paths: [path(1), path(2)] })).problems).toEqual([]);
  });

  it('0.0.0.0/0 and ::/0 go before the host’s default routes, which stay, and capture no path', () => {
    const defaults = () => host.table(254).filter((line) => line.startsWith('default'));
    const before = defaults();
    routes.apply(wanted({ paths: [path(1), path(2)], networks: [network('0.0.0.0/0'), network('::/0', 6)] }));
    expect(weftRoutes().filter((line) => !/^(203|10)/.test(line))).toEqual([
      '0.0.0.0/1 dev tun0 proto 178 scope link src 10.9.0.2',
      '128.0.0.0/1 dev tun0 proto 178 scope link src 10.9.0.2',
      '8000::/1 dev tun0 proto 178 metric 1024 pref medium',
      '::/1 dev tun0 proto 178 metric 1024 pref medium',
    ]);
    expect(defaults()).toEqual(before);
    expect(wayOf('198.51.100.7')?.[3]).toBe('tun0');
    expect(wayOf('203.0.113.5')?.[2]).toBe('c1');
    // A path's socket that asks for its link finds that link's default route all the same.
    expect(wayOf('198.51.100.7', ' oif c2')?.slice(1, 3)).toEqual(['10.2.0.1', 'c2']);
    routes.removeAll();
    expect(defaults()).toEqual(before);
  });

  it('a gateway outside of the link’s subnets is reached all the same', () => {
    expect(routes.apply(wanted({ paths: [path(1, { gateway: '172.31.1.1' })] })).problems).toEqual([]);
    expect(weftRoutes()).toContain('203.0.113.5 via 172.31.1.1 dev c1 proto 178 onlink');
  });

  it('an MTU of its own, changed without a moment in which the route is missing', () => {
    routes.apply(wanted({ mtuBytes: 1300 }));
    expect(host.table(254).join('\n')).toContain(
      '10.9.0.3 dev tun0 proto 178 scope link src 10.9.0.2 mtu 1300',
    );
    expect(routes.apply(wanted({ mtuBytes: 1280 }))).toMatchObject({ added: 0, removed: 0, problems: [] });
    expect(host.table(254).join('\n')).toContain('src 10.9.0.2 mtu 1280');
    routes.apply(wanted({}));
    expect(host.table(254).join('\n')).not.toContain('mtu');
  });
});

it('a thousand connections are one reading of the kernel’s routes, and one writing of the journal', () => {
  const tunnel = { name: 'tun0', linkIndex: device.linkIndex };
  const many = Array.from({ length: 1000 }, (_, i): RoutedConnection => ({
    localAddress: '10.9.0.2',
    remoteAddress: `10.8.${i >> 8}.${i & 255}`,
    paths: [path(1, { remoteAddress: `203.0.${i >> 8}.${i & 255}` })],
    networks: [],
  }));
  let saves = 0;
  const counting: HostJournal = {
    load: () => journal.load(),
    save: (record) => (saves++, journal.save(record)),
  };
  const all = new TunnelRoutes(netlink, new HostLedger(counting));
  expect(all.apply(wantedRoutes(tunnel, many))).toMatchObject({ added: 2000, problems: [] });
  expect(saves).toBe(1);
  expect(all.apply(wantedRoutes(tunnel, many))).toMatchObject({ added: 0, removed: 0, problems: [] });
  expect(all.removeAll()).toMatchObject({ removed: 2000, problems: [] });
  expect(saves).toBe(2);
});

describe('routes of others', () => {
  it('stay: a network that has one already is told, once', () => {
    host.ip('route add 192.168.2.0/24 via 10.1.0.9 dev c1');
    const before = host.snapshot();
    const wish = wanted({ networks: [network('192.168.2.0/24')] });
    const outcome = routes.apply(wish);
    expect(outcome.news).toEqual([
      'route 192.168.2.0/24 on "tun0": there is a route of others to the same destination (EEXIST) — it stays, and decides where these packets go',
    ]);
    expect(routes.apply(wish)).toMatchObject({ news: [], problems: outcome.problems });
    routes.removeAll();
    expect(host.changesSince(before)).toEqual([]);
    // Its owner takes it away: the tunnel's comes with the next look.
    host.ip('route del 192.168.2.0/24');
    expect(routes.apply(wish).problems).toEqual([]);
    expect(wayOf('192.168.2.7')?.[3]).toBe('tun0');
  });

  it('stand before a path’s, which works behind them', () => {
    host.ip('route add 203.0.113.5 via 10.2.0.9 dev c2');
    const before = host.snapshot();
    expect(routes.apply(wanted({ paths: [path(1)] })).problems).toEqual([]);
    expect(weftRoutes().filter((line) => line.startsWith('203'))).toEqual([
      '203.0.113.5 via 10.1.0.1 dev c1 proto 178 metric 1',
    ]);
    expect(wayOf('203.0.113.5', ' oif c1')?.slice(1, 3)).toEqual(['10.1.0.1', 'c1']);
    routes.removeAll();
    expect(host.changesSince(before)).toEqual([]);
  });

  it('of another tunnel stay, although they have the same protocol number', () => {
    const other = new TunnelRoutes(netlink, new HostLedger(new MemoryJournal()));
    other.apply(wanted({ paths: [path(1, { remoteAddress: '203.0.113.9' }), path(2)] }));
    routes.apply(wanted({ paths: [path(1), path(2)] }));
    routes.removeAll();
    expect(weftRoutes()).toEqual([
      '10.9.0.3 dev tun0 proto 178 scope link src 10.9.0.2',
      '203.0.113.5 via 10.2.0.1 dev c2 proto 178',
      '203.0.113.9 via 10.1.0.1 dev c1 proto 178',
    ]);
    other.removeAll();
    expect(weftRoutes()).toEqual([]);
  });
});

describe('beside weft up', () => {
  it('each keeps what is its own, whoever ends first', async () => {
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();
    const rules = host.rules();
    expect(rules.length).toBeGreaterThan(0);
    const wish = wanted({ paths: [path(1), path(2)], networks: [network('192.168.2.0/24')] });
    expect(routes.apply(wish).problems).toEqual([]);
    const made = weftRoutes();
    expect(made).toHaveLength(4);
    // Its own tables answer for what the main table knows, now also the tunnel's networks.
    await until(() => host.table(17_800).some((line) => line.startsWith('throw 192.168.2.0/24')), 'a look');
    expect(wayOf('192.168.2.7', ' from 10.2.0.2')?.[3]).toBe('tun0');
    await host.stop(supervisor);
    expect(weftRoutes()).toEqual(made);

    const again = await host.start();
    await until(() => host.rules().length === rules.length, 'the rules');
    routes.removeAll();
    expect(host.rules()).toEqual(rules);
    await host.stop(again);
    expect(host.changesSince(before)).toEqual([]);
  });
});

describe('after something happened', () => {
  it('routes that went with their link come back', () => {
    const wish = wanted({ paths: [path(1), path(2)] });
    routes.apply(wish);
    const before = weftRoutes();
    host.ip('link set c1 down');
    expect(weftRoutes().length).toBeLessThan(before.length);
    // Not yet: told nobody, because nothing is wrong.
    expect(routes.apply(wish).problems).toEqual([]);
    host.ip('link set c1 up');
    expect(routes.apply(wish).problems).toEqual([]);
    expect(weftRoutes()).toEqual(before);
    routes.removeAll();
    expect(weftRoutes()).toEqual([]);
  });

  it('a link that is deleted, and one that never was, are no problem', () => {
    routes.apply(wanted({ paths: [path(1), path(2)] }));
    const wish = wanted({ paths: [path(1), path(2), path(2, { interfaceName: 'gone', linkIndex: 9999 })] });
    host.ip('link del c1');
    expect(routes.apply(wish).problems).toEqual([]);
    expect(routes.removeAll().problems).toEqual([]);
    expect(journal.record.routes).toEqual([]);
  });

  it('the next start takes over what a killed process left, and removes what is not wanted any more', () => {
    routes.apply(wanted({ paths: [path(1), path(2, { remoteAddress: '203.0.113.6' })] }));
    // Killed: nothing is taken back, and the device goes with the process.
    device.close();
    device = TunnelDevice.open({
      name: 'tun0',
      mtuBytes: 1440,
      ipv4: prefix('10.9.0.2/24'),
      netns: host.path,
    });
    const next = new TunnelRoutes(netlink, new HostLedger(journal));
    expect(next.apply(wanted({ paths: [path(1)] }))).toMatchObject({ removed: 1, added: 1, problems: [] });
    expect(weftRoutes()).toEqual([
      '10.9.0.3 dev tun0 proto 178 scope link src 10.9.0.2',
      '203.0.113.5 via 10.1.0.1 dev c1 proto 178',
    ]);
  });

  it('nothing is made that cannot be written down first', () => {
    const broken: HostJournal = {
      load: () => ({ routes: [], settings: [] }),
      save: () => {
        throw new Error('no space');
      },
    };
    const unable = new TunnelRoutes(netlink, new HostLedger(broken));
    expect(() => unable.apply(wanted({ paths: [path(1)] }))).toThrow('no space');
    expect(weftRoutes()).toEqual([]);
  });
});
