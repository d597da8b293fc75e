/**
 * The supervisor on hosts that are set up otherwise than the usual one: each gets a path for each uplink, packets
 * leave by their own link, and nothing stays. The host is drawn in support/up-host.ts.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pathStates, UpHost } from './support/up-host.ts';

let host: UpHost;

beforeEach(() => {
  host = new UpHost('wuph-');
});

afterEach(async () => {
  await host.close();
});

/** Which link a packet from an address to far away leaves by, as ip tells it. */
function way(from: string): string {
  const to = from.includes(':') ? '2001:db8:ffff::1' : '203.0.113.1';
  return /dev (\S+)/.exec(host.ip(`route get ${to} from ${from}`))?.[1] ?? '';
}

interface Odd {
  readonly name: string;
  readonly setup: readonly string[];
  /** Address → link. */
  readonly ways: Readonly<Record<string, string>>;
  /** Lines that Weft's tables must have among them. */
  readonly routes?: readonly string[];
}

const HOSTS: readonly Odd[] = [
  {
    name: 'addresses without a subnet and gateways beyond it (cloud machines)',
    setup: [
      'addr add 198.51.100.7/32 dev c1',
      'addr add 198.51.100.8/32 dev c2',
      'route add default via 10.255.0.1 dev c1 onlink metric 100',
      'route add 10.255.0.2 dev c2',
      'route add default via 10.255.0.2 dev c2 metric 200',
    ],
    ways: { '198.51.100.7': 'c1', '198.51.100.8': 'c2' },
    routes: ['default via 10.255.0.1 dev c1 proto 178 onlink', 'default via 10.255.0.2 dev c2 proto 178'],
  },
  {
    name: 'default routes without a gateway (modems)',
    setup: [
      'addr add 100.64.0.5/32 dev c1',
      'addr add 100.65.0.5 peer 100.65.0.1 dev c2',
      'route add default dev c1 metric 100',
      'route add default dev c2 metric 200',
    ],
    ways: { '100.64.0.5': 'c1', '100.65.0.5': 'c2' },
    routes: ['default dev c1 proto 178 scope link', '100.65.0.1 dev c2 proto 178 scope link'],
  },
  {
    name: 'one default route with two next hops',
    setup: [
      'addr add 10.1.0.2/24 dev c1',
      'addr add 10.2.0.2/24 dev c2',
      'route add default nexthop via 10.1.0.1 dev c1 weight 1 nexthop via 10.2.0.1 dev c2 weight 1',
    ],
    ways: { '10.1.0.2': 'c1', '10.2.0.2': 'c2' },
  },
  {
    name: 'next hop objects',
    setup: [
      'addr add 10.1.0.2/24 dev c1',
      'addr add 10.2.0.2/24 dev c2',
      'nexthop add id 1 via 10.1.0.1 dev c1',
      'nexthop add id 2 via 10.2.0.1 dev c2',
      'nexthop add id 10 group 1/2',
      'route add default nhid 10',
    ],
    ways: { '10.1.0.2': 'c1', '10.2.0.2': 'c2' },
  },
  {
    name: 'two links into the same network',
    setup: [
      'addr add 192.168.1.10/24 dev c1',
      'addr add 192.168.1.11/24 dev c2',
      'route add default via 192.168.1.1 dev c1 metric 100',
      'route add default via 192.168.1.1 dev c2 metric 600',
    ],
    ways: { '192.168.1.10': 'c1', '192.168.1.11': 'c2' },
    routes: ['192.168.1.0/24 dev c2 proto 178 scope link'],
  },
  {
    name: 'two providers on one link',
    setup: [
      'addr add 10.1.0.2/24 dev c1',
      'addr add 10.2.0.2/24 dev c1',
      'route add default via 10.1.0.1 dev c1 metric 100',
      'route add default via 10.2.0.1 dev c1 metric 200',
    ],
    ways: { '10.1.0.2': 'c1', '10.2.0.2': 'c1' },
    routes: ['default via 10.1.0.1 dev c1 proto 178', 'default via 10.2.0.1 dev c1 proto 178'],
  },
  {
    name: 'IPv4 by IPv6 gateways (RFC 5549)',
    setup: [
      'addr add 10.1.0.2/24 dev c1',
      'addr add 10.2.0.2/24 dev c2',
      '-4 route add default via inet6 fe80::1 dev c1 metric 100',
      '-4 route add default via inet6 fe80::1 dev c2 metric 200',
    ],
    ways: { '10.1.0.2': 'c1', '10.2.0.2': 'c2' },
    routes: ['default via inet6 fe80::1 dev c2 proto 178'],
  },
  {
    name: 'IPv6 only, with several routers and router preferences',
    setup: [
      'addr add 2001:db8:1::2/64 dev c1 nodad',
      'addr add 2001:db8:2::2/64 dev c2 nodad',
      'addr add fd00:2::2/64 dev c2 nodad',
      '-6 route add default via fe80::1 dev c1 proto ra metric 1024 pref high',
      '-6 route append default via fe80::1 dev c2 proto ra metric 1024 pref low',
      '-6 route append default via fe80::2 dev c2 proto ra metric 1024 pref low',
    ],
    ways: { '2001:db8:1::2': 'c1', '2001:db8:2::2': 'c2' },
  },
  {
    name: 'an uplink in a table of its own (Android, some providers’ scripts)',
    setup: [
      'addr add 10.1.0.2/24 dev c1',
      'addr add 10.2.0.2/24 dev c2',
      'route add default via 10.1.0.1 dev c1',
      'route add default via 10.2.0.1 dev c2 table 1002',
      'rule add oif c2 lookup 1002 priority 14000',
    ],
    ways: { '10.1.0.2': 'c1', '10.2.0.2': 'c2' },
  },
  {
    name: 'unreachable and blackhole routes beside the default ones',
    setup: [
      'addr add 10.1.0.2/24 dev c1',
      'addr add 10.2.0.2/24 dev c2',
      'route add default via 10.1.0.1 dev c1 metric 100',
      'route add default via 10.2.0.1 dev c2 metric 200',
      'route add unreachable 10.0.0.0/8',
      'route add blackhole 172.16.0.0/12',
      'route add unreachable default metric 4000000',
      '-6 route add unreachable fc00::/7',
    ],
    ways: { '10.1.0.2': 'c1', '10.2.0.2': 'c2' },
    routes: ['throw 10.0.0.0/8 proto 178', 'throw 172.16.0.0/12 proto 178'],
  },
];

describe('hosts', () => {
  it.each(HOSTS)('$name', async ({ routes = [], setup, ways }) => {
    host.addLink(1);
    host.addLink(2);
    await host.settle();
    for (const command of setup) {
      host.ip(command);
      if (command.endsWith(' up')) await host.settle();
    }
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();
    expect(supervisor.status()).toMatchObject({ mode: 'multipath', actions: { failures: 0 } });
    expect(pathStates(supervisor.status())).toEqual(
      Object.entries(ways)
        .map(([address, link]) => `${link} ${address} active`)
        .sort(),
    );
    for (const [address, link] of Object.entries(ways)) expect(way(address)).toBe(link);
    const tables = supervisor.status().paths.flatMap((path) => host.table(path.table ?? 0));
    expect(tables).toEqual(expect.arrayContaining([...routes]));
    // A second look finds nothing to do.
    const changed = supervisor.status().actions.routesAndRulesChanged;
    host.ip('link add poke type bridge');
    await host.seen(supervisor, (status) => status.ignoredLinks.some((item) => item.link === 'poke'));
    host.ip('link del poke');
    await host.seen(supervisor, (status) => status.ignoredLinks.every((item) => item.link !== 'poke'));
    expect(supervisor.status().actions.routesAndRulesChanged).toBe(changed);
    await host.stop(supervisor);
    expect(host.changesSince(before)).toEqual([]);
  });
});
