import { describe, expect, it } from 'vitest';
import { AF_INET, AF_INET6 } from '../../base/index.ts';
import { RTN_UNICAST, RT_TABLE_MAIN, type Route } from '../../netlink/index.ts';
import { uplinkLink } from './guest-links.ts';
import { planFirewall, planForwarding, planRouting } from './host-plan.ts';
import { planLinks, takenPrefixes, type PrefixView } from './link-plan.ts';
import { isApplianceRoute, isApplianceRule, UPLINKS_MAX } from './numbers.ts';
import { endsOf } from './prefixes.ts';
import type { HostUplink } from './types.ts';

const EMPTY: PrefixView = { links: [], addresses: [], routes: [] };

const uplink = (n: number, change: Partial<HostUplink> = {}): HostUplink => ({
  linkName: `eth${n}`,
  linkIndex: n,
  mtuBytes: 1500,
  usable: true,
  ipv4: { gateway: `10.${n}.0.1` },
  metric: n * 100,
  backup: false,
  ...change,
});

const route = (change: Partial<Route>): Route => ({
  family: AF_INET,
  table: RT_TABLE_MAIN,
  protocol: 2,
  scope: 253,
  type: RTN_UNICAST,
  flags: 0,
  ...change,
});

describe('links', () => {
  it('keep slot and prefixes while others come and go', () => {
    const first = planLinks([uplink(1), uplink(2)], EMPTY, 'm');
    expect(first.uplinks.map(({ slot, tapName }) => [slot, tapName])).toEqual([
      [1, 'weftvm1'],
      [2, 'weftvm2'],
    ]);
    const second = planLinks([uplink(3), uplink(2)], EMPTY, 'm', first);
    expect(second.uplinks.map(({ slot, uplink: { linkName } }) => [linkName, slot])).toEqual([
      ['eth3', 1],
      ['eth2', 2],
    ]);
    expect(second.uplinks[1]?.prefixes).toEqual(first.uplinks[1]?.prefixes);
    expect(second.host).toEqual(first.host);
  });

  it('that cannot be used get no slot, and keep the one that they have', () => {
    const down = uplink(1, { usable: false });
    expect(planLinks([down], EMPTY, 'm').uplinks).toEqual([]);
    const before = planLinks([uplink(1)], EMPTY, 'm');
    expect(planLinks([down], EMPTY, 'm', before).uplinks[0]).toMatchObject({ slot: 1, uplink: down });
  });

  it('get other prefixes when the host meets theirs elsewhere', () => {
    const before = planLinks([uplink(1)], EMPTY, 'm');
    const { address } = before.uplinks[0]!.prefixes.ipv4;
    const view = { ...EMPTY, routes: [route({ destination: { address, length: 24 }, linkIndex: 7 })] };
    const after = planLinks([uplink(1)], view, 'm', before);
    expect(after.uplinks[0]?.prefixes).not.toEqual(before.uplinks[0]?.prefixes);
    expect(after.host).toEqual(before.host);
  });

  it('that are too many are named', () => {
    const many = Array.from({ length: UPLINKS_MAX + 2 }, (_, i) => uplink(i + 1));
    const plan = planLinks(many, EMPTY, 'm');
    expect(plan.uplinks).toHaveLength(UPLINKS_MAX);
    expect(plan.omitted).toEqual(['eth9', 'eth10']);
  });

  it('take no network for taken that is the whole world, or their own', () => {
    const view = {
      ...EMPTY,
      routes: [
        route({ destination: { address: '0.0.0.0', length: 1 }, linkIndex: 3 }),
        route({ destination: { address: '10.5.0.0', length: 16 }, linkIndex: 3 }),
        route({ destination: { address: '10.6.0.0', length: 16 }, table: 18_101, protocol: 178 }),
      ],
    };
    expect(takenPrefixes(view)).toEqual([{ address: '10.5.0.0', length: 16 }]);
  });
});

describe('the host', () => {
  const plan = planLinks([uplink(1, { ipv6: { gateway: 'fe80::1' } }), uplink(2, { ipv4: {} })], EMPTY, 'm');
  const main = [route({ destination: { address: '10.1.0.0', length: 24 }, linkIndex: 1 })];

  it('has a table for each link, whose last word is no', () => {
    const { routes, rules } = planRouting(plan, main);
    expect(rules.map(({ family, inputLink, table }) => [family, inputLink, table])).toEqual([
      [AF_INET, 'weftvm1', 18_101],
      [AF_INET6, 'weftvm1', 18_101],
      [AF_INET, 'weftvm2', 18_102],
      [AF_INET6, 'weftvm2', 18_102],
    ]);
    const told = routes.map(({ destination, family, flags, gateway, linkIndex, type }) =>
      [family, type, destination?.address ?? 'default', gateway, linkIndex, flags].join(' '),
    );
    expect(told).toEqual([
      '2 1 10.1.0.0  1 0',
      '2 1 default 10.1.0.1 1 0',
      '2 7 default   0',
      '10 1 default fe80::1 1 0',
      '10 7 default   0',
      '2 1 default  2 0',
      '2 7 default   0',
      '10 7 default   0',
    ]);
    expect(
      routes.every((one) => isApplianceRoute(route({ table: one.table, protocol: one.protocol ?? 0 }))),
    ).toBe(true);
    expect(
      rules.every((rule) => isApplianceRule({ ...rule, family: AF_INET, action: 1, protocol: 178 })),
    ).toBe(true);
  });

  it('reaches a gateway outside of the subnets on the link all the same', () => {
    const { routes } = planRouting(plan, []);
    expect(routes.find(({ gateway }) => gateway === '10.1.0.1')?.flags).toBe(4);
  });

  it('forwards between a link and its uplink, and for IPv6 only where there is any', () => {
    expect(planForwarding(plan)).toEqual({
      ipv4: ['weftvm1', 'eth1', 'weftvm2', 'eth2'],
      ipv6: ['weftvm1', 'eth1'],
    });
  });

  it('lets the guest out by its uplink, answers in, and nothing else', () => {
    const guards = [{ family: 'ipv4', link: 'eth1' }] as const;
    const [forward, input, postrouting] = planFirewall(plan, guards).chains;
    const tell = (matches: readonly object[]) =>
      matches.map((match) => Object.values(match).slice(1).join()).join(' ');
    expect(forward?.rules.slice(4).map(({ when, verdict }) => `${tell(when)} ${verdict.action}`)).toEqual([
      'eth1 weftvm1 established,related accept',
      'eth2 weftvm2 established,related accept',
      'weftvm0 drop',
      'weftvm0 drop',
      'weftvm1 drop',
      'weftvm1 drop',
      'weftvm2 drop',
      'weftvm2 drop',
      'ipv4 eth1 drop',
    ]);
    const guest = endsOf(plan.uplinks[0]!.prefixes.ipv4).guest.address;
    expect(forward?.rules[0]?.when).toContainEqual({
      match: 'source',
      in: { address: guest, length: 32 },
    });
    expect(input?.rules.filter(({ verdict }) => verdict.action === 'drop')).toHaveLength(3);
    expect(
      postrouting?.rules.every(({ when, verdict }) => verdict.action === 'masquerade' && when.length === 2),
    ).toBe(true);
  });

  it('is the gateway of what the uplink has', () => {
    const [first, second] = plan.uplinks;
    expect(uplinkLink(first!).gateways).toEqual([
      endsOf(first!.prefixes.ipv4).host.address,
      endsOf(first!.prefixes.ipv6).host.address,
    ]);
    expect(uplinkLink(second!)).toMatchObject({ role: 'uplink', metric: 202, label: 'eth2', mtuBytes: 1500 });
    expect(uplinkLink(second!).gateways).toHaveLength(1);
  });
});
