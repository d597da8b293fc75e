import { describe, expect, it } from 'vitest';
import {
  address,
  link,
  loopback,
  NO_HOST,
  route,
  twoUplinks,
  UP,
  withUplink,
} from '../../test/support/model-host.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_TEMPORARY,
  IFA_F_TENTATIVE,
  IFF_UP,
  type Link,
} from '../netlink/index.ts';
import type { HostView, LinkChoice } from './host.ts';
import { tunnelOfDefaultTraffic } from './links.ts';
import { findPaths, uplinkCount, type HostPath } from './paths.ts';

const usable = (view: HostView, choice: LinkChoice = {}) =>
  findPaths(view, choice)
    .paths.filter((path) => path.state === 'usable')
    .map((path) => path.address);

const ignored = (view: HostView, choice: LinkChoice = {}) =>
  Object.fromEntries(findPaths(view, choice).ignoredLinks.map(({ name, why }) => [name, why]));

const pathOf = (view: HostView, text: string): HostPath | undefined =>
  findPaths(view).paths.find((path) => path.address === text);

function withLink(view: HostView, index: number, change: Partial<Link>): HostView {
  return {
    ...view,
    links: view.links.map((item) => (item.index === index ? Object.assign({}, item, change) : item)),
  };
}

describe('findPaths', () => {
  it('finds every address of two uplinks, one of each door and family first', () => {
    const view = twoUplinks();
    expect(usable(view)).toEqual(['10.1.0.2', '2001:db8:1::2', '10.2.0.2', '2001:db8:2::2']);
    expect(uplinkCount(findPaths(view).paths)).toBe(2);
    expect(ignored(view)).toEqual({ lo: 'loopback' });
    expect(pathOf(view, '10.2.0.2')?.defaultRoute).toEqual({ gateway: '10.2.0.1', metric: 200 });
  });

  it('puts spare addresses of one door behind the first of every other', () => {
    const view = withUplink(NO_HOST, 2, 'c1', '10.1.0.2/24', '10.1.0.1', 1);
    const more = {
      ...view,
      addresses: [...view.addresses, address(2, '10.1.0.3/24'), address(2, '10.1.0.4/24')],
    };
    expect(usable(withUplink(more, 3, 'c2', '10.2.0.2/24', '10.2.0.1', 500))).toEqual([
      '10.1.0.2',
      '10.2.0.2',
      '10.1.0.3',
      '10.1.0.4',
    ]);
  });

  it('counts doors, not addresses', () => {
    const one = withUplink(NO_HOST, 2, 'c1', '10.1.0.2/24', '10.1.0.1');
    const alias = { ...one, addresses: [...one.addresses, address(2, '10.1.0.3/24')] };
    expect(uplinkCount(findPaths(alias).paths)).toBe(1);
    // Two providers on one cable are two doors.
    expect(uplinkCount(findPaths(withUplink(one, 2, 'c1', '10.2.0.2/24', '10.2.0.1')).paths)).toBe(2);
    // IPv4 here and IPv6 there: no connection can use both.
    expect(uplinkCount(findPaths(withUplink(one, 3, 'c2', '2001:db8::2/64', 'fe80::1')).paths)).toBe(1);
  });

  it.each([
    ['the link is switched off', (view: HostView) => withLink(view, 3, { flags: 0 }), 'down'],
    ['no carrier', (view: HostView) => withLink(view, 3, { flags: IFF_UP }), 'down'],
    [
      'no default route',
      (view: HostView) => ({
        ...view,
        routes: view.routes.filter((item) => item.destination !== undefined || item.linkIndex !== 3),
      }),
      'waiting',
    ],
  ])('%s: the path is shown, with why, and not usable', (why, change, state) => {
    const path = pathOf(change(twoUplinks()), '10.2.0.2');
    expect(path?.state).toBe(state);
    expect(path?.why).toContain(why);
  });

  it.each([
    [IFA_F_TENTATIVE, 'waiting', 'still checking'],
    [IFA_F_TENTATIVE | IFA_F_DADFAILED, 'down', 'another host'],
  ])('waits for duplicate address detection (flags %i)', (flags, state, why) => {
    const view = twoUplinks();
    const addresses = view.addresses.map((item) =>
      item.address === '2001:db8:2::2' ? Object.assign({}, item, { flags }) : item,
    );
    const path = pathOf({ ...view, addresses }, '2001:db8:2::2');
    expect(path).toMatchObject({ state, why: expect.stringContaining(why) as string });
  });

  it('leaves out addresses that are not for this', () => {
    const view = twoUplinks();
    const extra = [
      address(2, 'fe80::1/64', { scope: 253 }),
      address(2, '169.254.1.1/16'),
      address(2, '10.1.0.9/24', { flags: IFA_F_DEPRECATED }),
      address(2, '10.1.0.8/24', { scope: 254 }),
      address(2, '2001:db8:1::abcd/64', { flags: IFA_F_TEMPORARY }),
      address(2, 'fd00::2/64'),
    ];
    expect(usable({ ...view, addresses: [...view.addresses, ...extra] })).toEqual(usable(view));
  });

  it('takes a temporary or unique-local address where the link has nothing better, and a secondary IPv4 one', () => {
    let view = withUplink(NO_HOST, 2, 'c1', 'fd01::2/64', 'fd01::1');
    view = withUplink(view, 3, 'c2', '10.2.0.2/24', '10.2.0.1');
    view = withUplink(view, 3, 'c2', '2001:db8:2::2/64', 'fe80::1', 900);
    const more = [
      address(2, 'fd01::abcd/64', { flags: IFA_F_TEMPORARY }),
      // The same bit says "secondary" here.
      address(3, '10.2.0.3/24', { flags: IFA_F_TEMPORARY }),
    ];
    expect(usable({ ...view, addresses: [...view.addresses, ...more] })).toEqual([
      'fd01::2',
      '10.2.0.2',
      '2001:db8:2::2',
      '10.2.0.3',
    ]);
  });

  it('prefers the gateway on the address’s own subnet, then the lower metric, then the main table', () => {
    let view = withUplink(NO_HOST, 2, 'c1', '10.1.0.2/24', '10.1.0.1', 500);
    view = withUplink(view, 2, 'c1', '10.2.0.2/24', '10.2.0.1', 100);
    expect(pathOf(view, '10.1.0.2')?.defaultRoute?.gateway).toBe('10.1.0.1');
    const onSubnet = route('default', 2, { gateway: '10.1.0.254', priority: 50 });
    expect(pathOf({ ...view, routes: [...view.routes, onSubnet] }, '10.1.0.2')?.defaultRoute?.gateway).toBe(
      '10.1.0.254',
    );
    const elsewhere = route('default', 2, { gateway: '10.1.0.7', priority: 1, table: 77 });
    expect(pathOf({ ...view, routes: [...view.routes, elsewhere] }, '10.1.0.2')?.defaultRoute?.gateway).toBe(
      '10.1.0.1',
    );
    const made = route('default', 2, {
      gateway: '10.9.9.9',
      priority: 900,
      preferredSource: '10.1.0.2',
      table: 77,
    });
    expect(pathOf({ ...view, routes: [...view.routes, made] }, '10.1.0.2')?.defaultRoute?.gateway).toBe(
      '10.9.9.9',
    );
  });

  it('takes multipath defaults, on-link defaults and link-local gateways; not dead ones, not Weft’s own', () => {
    const ecmp: HostView = {
      links: [loopback, link(2, 'c1'), link(3, 'ppp0', { kind: 'ppp' })],
      addresses: [address(2, '10.1.0.2/24'), address(3, '10.64.0.1/32'), address(2, '2001:db8::2/64')],
      routes: [
        {
          family: 2,
          table: 254,
          protocol: 4,
          scope: 0,
          type: 1,
          flags: 0,
          nextHops: [{ linkIndex: 2, gateway: '10.1.0.1' }, { linkIndex: 3 }],
        },
        route('default', 2, { family: 10, gateway: 'fe80::1' }),
      ],
      rules: [],
    };
    const { paths } = findPaths(ecmp);
    expect(paths.map((path) => [path.address, path.defaultRoute?.gateway])).toEqual(
      expect.arrayContaining([
        ['10.1.0.2', '10.1.0.1'],
        ['10.64.0.1', undefined],
        ['2001:db8::2', 'fe80::1'],
      ]),
    );
    const dead = ecmp.routes.map((item) => Object.assign({}, item, { flags: 1 }));
    expect(usable({ ...ecmp, routes: dead })).toEqual([]);
    const own = ecmp.routes.map((item) => Object.assign({}, item, { protocol: 178, table: 17_800 }));
    expect(usable({ ...ecmp, routes: own })).toEqual([]);
  });

  it('uses an address that two links have once', () => {
    let view = withUplink(NO_HOST, 2, 'c1', '192.168.8.100/24', '192.168.8.1', 100);
    view = withUplink(view, 3, 'c2', '192.168.8.100/24', '192.168.8.1', 200);
    expect(usable(view)).toEqual(['192.168.8.100']);
    expect(findPaths(view).paths[1]).toMatchObject({ linkName: 'c2', cause: 'twin' });
  });
});

describe('which links', () => {
  const four = (kind: string, name: string, more: Partial<Link> = {}) => {
    const view = withUplink(twoUplinks(), 9, name, '10.9.0.2/24', '10.9.0.1', 900);
    return withLink(view, 9, { kind, ...more });
  };

  it.each([
    ['docker0', 'bridge', 'bridge for containers'],
    ['br-0123456789ab', 'bridge', 'bridge for containers'],
    ['virbr0', 'bridge', 'bridge for containers'],
    ['br0', 'bridge', 'without a port to the outside'],
    ['dummy0', 'dummy', 'kind dummy'],
    ['wg0', 'wireguard', 'tunnel or VPN'],
    ['tun0', 'tun', 'tunnel or VPN'],
  ])('leaves out "%s" of kind %s', (name, kind, why) => {
    expect(ignored(four(kind, name))[name]).toContain(why);
    expect(usable(four(kind, name))).not.toContain('10.9.0.2');
    // Named, it is used.
    expect(usable(four(kind, name), { interfaces: [name] })).toEqual(['10.9.0.2']);
  });

  it.each(['veth', 'vlan', 'bond', 'macvlan', 'wwan', 'ppp'])(
    'uses a link of kind %s with a default route',
    (kind) => {
      expect(usable(four(kind, 'x0'))).toContain('10.9.0.2');
    },
  );

  it('uses a bridge that has hardware as a port and the default route, and not its port', () => {
    const view = four('bridge', 'br0');
    const port = link(10, 'eth0', { masterIndex: 9 });
    const bridged = { ...view, links: [...view.links, port] };
    expect(usable(bridged)).toContain('10.9.0.2');
    expect(ignored(bridged)['eth0']).toBe('port of "br0"');
    const inner = link(10, 'veth1', { kind: 'veth', masterIndex: 9 });
    expect(usable({ ...view, links: [...view.links, inner] })).not.toContain('10.9.0.2');
  });

  it('obeys --interface and --exclude', () => {
    expect(usable(twoUplinks(), { interfaces: ['c2'] })).toEqual(['10.2.0.2', '2001:db8:2::2']);
    expect(usable(twoUplinks(), { exclude: ['c2'] })).toEqual(['10.1.0.2', '2001:db8:1::2']);
    expect(ignored(twoUplinks(), { interfaces: ['c2'] })['c1']).toBe('not among --interface');
  });

  it.each(['default', '0.0.0.0/1', '::/1', '2000::/3'])(
    'sees a VPN that takes the default traffic by %s',
    (to) => {
      const vpn = link(9, 'wg0', { kind: 'wireguard', flags: UP });
      const taking = route(to, 9, { table: 51_820 });
      const view = {
        ...twoUplinks(),
        links: [...twoUplinks().links, vpn],
        routes: [...twoUplinks().routes, taking],
      };
      expect(tunnelOfDefaultTraffic(view)?.name).toBe('wg0');
      expect(tunnelOfDefaultTraffic(view, { interfaces: ['c1', 'c2'] })).toBeUndefined();
      const split = { ...view, routes: [...twoUplinks().routes, route('10.50.0.0/16', 9)] };
      expect(tunnelOfDefaultTraffic(split)).toBeUndefined();
      expect(tunnelOfDefaultTraffic(withLink(view, 9, { flags: 0 }))).toBeUndefined();
    },
  );
});
