import { describe, expect, it } from 'vitest';
import { AF_INET, AF_INET6 } from '../../base/index.ts';
import { IFA_F_NODAD, RT_TABLE_MAIN, RTN_UNICAST, RTPROT_STATIC } from '../../netlink/index.ts';
import type { InterfaceAddress, Route } from '../../netlink/index.ts';
import { linkProblem, planLink } from './link-plan.ts';
import type { GuestLink } from './protocol.ts';

const LINK: GuestLink = {
  mac: '52:54:00:00:00:01',
  role: 'uplink',
  addresses: ['10.0.7.2/30', 'fd00:7::0002/64'],
  gateways: ['10.0.7.1', 'fd00:7::1'],
  metric: 7,
};

const address = (text: string, prefixLength: number, linkIndex = 2): InterfaceAddress => ({
  linkIndex,
  family: text.includes(':') ? AF_INET6 : AF_INET,
  address: text,
  prefixLength,
  scope: 0,
  flags: 0,
});

const route = (
  gateway: string,
  priority: number,
  more: Pick<Route, 'destination'> & { table?: number; linkIndex?: number } = {},
): Route => ({
  family: gateway.includes(':') ? AF_INET6 : AF_INET,
  table: RT_TABLE_MAIN,
  protocol: RTPROT_STATIC,
  scope: 0,
  type: RTN_UNICAST,
  flags: 0,
  linkIndex: 2,
  gateway,
  priority,
  ...more,
});

const EMPTY = { addressesToAdd: [], addressesToDelete: [], routesToAdd: [], routesToDelete: [] };
const asWanted = [
  [address('10.0.7.2', 30), address('fd00:7::2', 64), address('fe80::1', 64)],
  [route('10.0.7.1', 7), route('fd00:7::1', 7)],
] as const;

describe('planLink', () => {
  it('makes everything on a new card', () => {
    const plan = planLink(LINK, 2, [address('fe80::1', 64)], []);
    expect(plan.addressesToAdd).toEqual([
      { linkIndex: 2, address: '10.0.7.2', prefixLength: 30 },
      { linkIndex: 2, address: 'fd00:7::2', prefixLength: 64, flags: IFA_F_NODAD },
    ]);
    expect(plan.routesToAdd.map(({ gateway, priority, table }) => [gateway, priority, table])).toEqual([
      ['10.0.7.1', 7, RT_TABLE_MAIN],
      ['fd00:7::1', 7, RT_TABLE_MAIN],
    ]);
    expect(plan).toMatchObject({ addressesToDelete: [], routesToDelete: [] });
  });

  it('does nothing where all is as wanted, nor to other cards, routes and the kernel’s own addresses', () => {
    const [addresses, routes] = asWanted;
    const others = [
      route('10.9.0.1', 1, { linkIndex: 3 }),
      route('10.9.0.1', 1, { table: 17_800 }),
      route('10.9.0.1', 1, { destination: { address: '10.9.0.0', length: 16 } }),
    ];
    expect(planLink(LINK, 2, [...addresses, address('10.9.0.2', 16, 3)], [...routes, ...others])).toEqual(
      EMPTY,
    );
  });

  it('replaces what changed, and takes everything from a card that is not wanted', () => {
    const [addresses, routes] = asWanted;
    const other = { ...LINK, addresses: ['10.0.8.2/30'], gateways: ['10.0.8.1'], metric: 9 };
    const plan = planLink(other, 2, addresses, routes);
    expect(plan.addressesToDelete.map((item) => item.address)).toEqual(['10.0.7.2', 'fd00:7::2']);
    expect(plan.addressesToAdd.map((item) => item.address)).toEqual(['10.0.8.2']);
    expect(plan.routesToDelete.map((item) => item.gateway)).toEqual(['10.0.7.1', 'fd00:7::1']);
    expect(plan.routesToAdd.map((item) => [item.gateway, item.priority])).toEqual([['10.0.8.1', 9]]);
    expect(planLink(undefined, 2, addresses, routes)).toMatchObject({ addressesToAdd: [], routesToAdd: [] });
    expect(planLink(undefined, 2, addresses, routes).addressesToDelete).toHaveLength(2);
  });
});

describe('linkProblem', () => {
  it('takes a link', () => expect(linkProblem(LINK)).toBeUndefined());

  it.each([
    [null, 'an object'],
    [{ ...LINK, mac: '52:54' }, 'no MAC address'],
    [{ ...LINK, role: 'router' }, 'no role'],
    [{ ...LINK, addresses: '10.0.0.1/8' }, 'list of texts'],
    [{ ...LINK, addresses: ['10.0.0.1'] }, 'prefix length'],
    [{ ...LINK, addresses: ['10.0.0.1/33'] }, 'prefix length'],
    [{ ...LINK, addresses: ['10.0.0.256/8'] }, 'prefix length'],
    [{ ...LINK, addresses: Array.from({ length: 17 }, () => '10.0.0.1/8') }, 'list of texts'],
    [{ ...LINK, gateways: ['eth0'] }, 'one address of each family'],
    [{ ...LINK, gateways: ['10.0.0.1', '10.0.0.2'] }, 'one address of each family'],
    [{ ...LINK, role: 'host' }, 'leads nowhere'],
    [{ ...LINK, mtuBytes: 10 }, 'MTU'],
    [{ ...LINK, metric: -1 }, 'metric'],
    [{ ...LINK, backup: 'yes' }, 'backup'],
    [{ ...LINK, label: 7 }, 'label'],
  ])('%#: says what is wrong', (link, why) => {
    expect(linkProblem(link)).toContain(why);
  });
});
