import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { address, link, loopback, UP } from '../../../test/support/model-host.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_TEMPORARY,
  IFA_F_TENTATIVE,
  IFF_LOWER_UP,
  IFF_RUNNING,
  IFF_UP,
  type InterfaceAddress,
  type Link,
} from '../../netlink/index.ts';
import type { NotifyOptions } from '../daemon-options.ts';
import type { InterfaceRule } from './interface-rules.ts';
import { isReady, NetworkModel, type NetworkChange } from './network-model.ts';
import { localAddresses, pluginInterface, type DefaultRoute } from './network-state.ts';

const ALL: NotifyOptions = { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false };

/** A change in few words: `+eth0`, `-eth0 10.0.0.1`. */
function tell(change: NetworkChange): string {
  const sign = change.kind.startsWith('new') ? '+' : change.kind.startsWith('delete') ? '-' : '~';
  const { name } = change.interface;
  return 'address' in change ? `${sign}${name} ${change.address.address}` : `${sign}${name}`;
}

class Host {
  readonly model: NetworkModel;
  links: Link[] = [loopback];
  addresses: InterfaceAddress[] = [];
  /** `INDEX FAMILY`. */
  routes = new Map<string, DefaultRoute>();
  asked = 0;

  constructor(notify: Partial<NotifyOptions> = {}, rules: readonly InterfaceRule[] = []) {
    this.model = new NetworkModel({ notify: { ...ALL, ...notify }, rules });
  }

  read(): string[] {
    return this.model
      .handleReading({
        links: this.links,
        addresses: this.addresses,
        defaultRoute: (index, family) => {
          this.asked++;
          return this.routes.get(`${index} ${family}`);
        },
      })
      .map(tell);
  }

  verdicts(): string[] {
    return this.model.interfaces.flatMap(({ addresses, name }) =>
      addresses.map((item) => `${name} ${item.address} ${item.verdict}`),
    );
  }

  usable(): string[] {
    return localAddresses(this.model.interfaces).map((item) => item.address);
  }
}

const eth0 = link(2, 'eth0');
const eth1 = link(3, 'eth1', { kind: 'veth' });

describe('isReady', () => {
  it.each([
    ['up, running, with carrier', UP, true],
    ['switched off', 0, false],
    ['carrier just lost, the kernel not yet aware of it', IFF_UP | IFF_RUNNING, false],
    ['carrier, but waiting for authentication', IFF_UP | IFF_LOWER_UP, false],
    ['loopback', loopback.flags, false],
  ])('%s', (_, flags, expected) => {
    expect(isReady({ flags })).toBe(expected);
  });
});

describe('the first reading', () => {
  it('tells of addresses, not of interfaces, as mptcpd', () => {
    const host = new Host();
    host.links.push(eth0, link(3, 'eth1', { flags: IFF_UP }));
    host.addresses.push(address(1, '127.0.0.1/8'), address(2, '10.0.0.1/24'), address(3, '10.1.0.1/24'));
    expect(host.read()).toEqual(['+eth0 10.0.0.1']);
    expect(host.model.interfaces.map(({ name }) => name)).toEqual(['eth0']);
  });

  it('without "existing" remembers the addresses that are there, until they go', () => {
    const host = new Host({ existing: false });
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'));
    expect(host.read()).toEqual([]);
    expect(host.verdicts()).toEqual(['eth0 10.0.0.1 not announced, because it was there at the start']);
    host.addresses.push(address(2, '10.0.0.2/24'));
    expect(host.read()).toEqual(['+eth0 10.0.0.2']);
    const { addresses } = host;
    host.addresses = [];
    expect(host.read()).toEqual(['-eth0 10.0.0.1', '-eth0 10.0.0.2']);
    host.addresses = addresses;
    expect(host.read()).toEqual(['+eth0 10.0.0.1', '+eth0 10.0.0.2']);
  });

  it('without "existing" announces what was there and becomes usable later', () => {
    const host = new Host({ existing: false });
    host.links.push(eth0);
    const withFlags = (flags: number) => {
      host.addresses = [
        address(2, '2001:db8::1/64', { flags }),
        address(2, '10.0.0.1/24', { flags: flags ^ 0x20 }),
      ];
      return host.read();
    };
    expect(withFlags(IFA_F_DEPRECATED)).toEqual([]);
    expect(withFlags(0)).toEqual(['-eth0 10.0.0.1', '+eth0 2001:db8::1']);
    expect(withFlags(IFA_F_DEPRECATED)).toEqual(['-eth0 2001:db8::1', '+eth0 10.0.0.1']);
  });

  it('announces what was there when "existing" is switched on', () => {
    const host = new Host({ existing: false });
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'));
    host.read();
    host.model.configure({ notify: ALL, rules: [] });
    expect(host.read()).toEqual(['+eth0 10.0.0.1']);
  });
});

describe('interfaces', () => {
  it('losing the carrier takes all addresses away, getting it back brings all', () => {
    const host = new Host();
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'), address(2, '2001:db8::1/64'));
    host.read();
    host.links = [loopback, { ...eth0, flags: UP & ~IFF_LOWER_UP }];
    expect(host.read()).toEqual(['-eth0 10.0.0.1', '-eth0 2001:db8::1', '-eth0']);
    host.links = [loopback, eth0];
    expect(host.read()).toEqual(['+eth0', '+eth0 10.0.0.1', '+eth0 2001:db8::1']);
  });

  it('a rename is an update, unless a rule now says no', () => {
    const host = new Host({}, [{ interface: 'wan*', use: false }]);
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'));
    host.read();
    host.links = [loopback, { ...eth0, name: 'uplink0' }];
    expect(host.read()).toEqual(['~uplink0']);
    host.links = [loopback, { ...eth0, name: 'wan0' }];
    expect(host.read()).toEqual(['-uplink0 10.0.0.1', '-uplink0']);
    expect(host.verdicts()).toEqual(['wan0 10.0.0.1 skipped because of the rule [interface wan*]']);
    host.links = [loopback, eth0];
    expect(host.read()).toEqual(['+eth0', '+eth0 10.0.0.1']);
  });

  it('another link under the same index is another interface', () => {
    const host = new Host();
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'));
    host.read();
    host.links = [loopback, link(2, 'tun0', { kind: 'tun', hardwareType: 65534 })];
    expect(host.read()).toEqual(['-eth0 10.0.0.1', '-eth0', '+tun0', '+tun0 10.0.0.1']);
  });

  it('an address that moves is told as deleted before it is told as new', () => {
    const host = new Host();
    host.links.push(eth0, eth1);
    host.addresses.push(address(3, '10.0.0.1/24'));
    host.read();
    host.addresses = [address(2, '10.0.0.1/24')];
    expect(host.read()).toEqual(['-eth1 10.0.0.1', '+eth0 10.0.0.1']);
  });

  it('says nothing when nothing changed', () => {
    const host = new Host();
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'), address(2, '10.0.0.1/32'));
    expect(host.read()).toEqual(['+eth0 10.0.0.1']);
    expect(host.read()).toEqual([]);
  });
});

describe('addresses', () => {
  it.each([
    [IFA_F_TENTATIVE, 'tentative: waiting for duplicate address detection'],
    [IFA_F_TENTATIVE | IFA_F_DADFAILED, 'skipped because another host has it (duplicate address detection)'],
    [IFA_F_DEPRECATED, 'skipped because it is deprecated'],
    [IFA_F_TEMPORARY, 'announced'],
    [IFA_F_TEMPORARY | IFA_F_DEPRECATED, 'skipped because it is deprecated'],
  ])('with the flags %i: %s', (flags, verdict) => {
    const host = new Host();
    host.links.push(eth0);
    host.addresses.push(address(2, '2001:db8::1/64', { flags }));
    host.read();
    expect(host.verdicts()).toEqual([`eth0 2001:db8::1 ${verdict}`]);
    expect(host.usable()).toEqual(verdict === 'announced' ? ['2001:db8::1'] : []);
  });

  it('follows an address from tentative to announced to deprecated', () => {
    const host = new Host();
    host.links.push(eth0);
    const withFlags = (flags: number) => {
      host.addresses = [address(2, '2001:db8::1/64', { flags })];
      return host.read();
    };
    expect(withFlags(IFA_F_TENTATIVE)).toEqual([]);
    expect(withFlags(0)).toEqual(['+eth0 2001:db8::1']);
    expect(withFlags(IFA_F_DEPRECATED)).toEqual(['-eth0 2001:db8::1']);
    expect(withFlags(0)).toEqual(['+eth0 2001:db8::1']);
  });

  it.each([
    [{ skipLinkLocal: true }, 253, false],
    [{ skipLinkLocal: false }, 253, true],
    [{ skipLoopback: true }, 254, false],
    [{ skipLoopback: false }, 254, true],
  ] as const)('%o and scope %i: announced %s', (notify, scope, expected) => {
    const host = new Host(notify);
    host.links.push(eth0);
    host.addresses.push(address(2, 'fe80::1/64', { scope }));
    expect(host.read().length).toBe(expected ? 1 : 0);
  });

  it('are in the order in which they were announced', () => {
    const host = new Host();
    host.links.push(eth0, eth1);
    host.addresses.push(address(3, '10.1.0.1/24'));
    host.read();
    host.addresses.unshift(address(2, '10.0.0.1/24'));
    host.read();
    expect(host.usable()).toEqual(['10.1.0.1', '10.0.0.1']);
    // Coming back is being new.
    const [first, second] = host.addresses;
    host.addresses = [first!];
    host.read();
    host.addresses = [second!, first!];
    host.read();
    expect(host.usable()).toEqual(['10.0.0.1', '10.1.0.1']);
  });
});

describe('routes', () => {
  it('are not asked for when nothing depends on them', () => {
    const host = new Host({}, [{ interface: '*', use: true }]);
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'));
    host.read();
    expect(host.asked).toBe(0);
  });

  it('check_route: an address waits for a default route of its family, and goes with it', () => {
    const host = new Host({ checkRoute: true });
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'), address(2, '2001:db8::1/64'));
    host.routes.set('2 10', { metric: 1024 });
    expect(host.read()).toEqual(['+eth0 2001:db8::1']);
    expect(host.verdicts()[0]).toBe('eth0 10.0.0.1 waiting for a default route');
    host.routes.set('2 2', { metric: 0 });
    expect(host.read()).toEqual(['+eth0 10.0.0.1']);
    host.routes.clear();
    expect(host.read()).toEqual(['-eth0 10.0.0.1', '-eth0 2001:db8::1']);
  });

  it('metric rules follow the metric of each family', () => {
    const host = new Host({}, [{ metric: { is: '>', value: 600 }, use: false, flags: 6 }]);
    host.links.push(eth0);
    host.addresses.push(address(2, '10.0.0.1/24'), address(2, '2001:db8::1/64'));
    host.routes.set('2 2', { metric: 700 });
    expect(host.read()).toEqual(['+eth0 2001:db8::1']);
    host.routes.set('2 2', { metric: 100 });
    expect(host.read()).toEqual(['+eth0 10.0.0.1']);
  });
});

describe('rules', () => {
  it('keep a forbidden interface from plugins altogether, and bring it back when they change', () => {
    const host = new Host({}, [{ kind: 'veth', use: false }]);
    host.links.push(eth0, eth1);
    host.addresses.push(address(2, '10.0.0.1/24'), address(3, '10.1.0.1/24'));
    expect(host.read()).toEqual(['+eth0 10.0.0.1']);
    expect(host.model.interfaces.map(({ excludedBy }) => excludedBy)).toEqual([undefined, '[kind veth]']);
    host.model.configure({ notify: ALL, rules: [] });
    expect(host.read()).toEqual(['+eth1', '+eth1 10.1.0.1']);
    host.model.configure({ notify: ALL, rules: [{ interface: '*', use: false }] });
    expect(host.read()).toEqual(['-eth0 10.0.0.1', '-eth0', '-eth1 10.1.0.1', '-eth1']);
  });

  it('give addresses flags', () => {
    const host = new Host({}, [{ interface: 'eth0', flags: 2, flags6: 6 }]);
    host.links.push(eth0, eth1);
    host.addresses.push(address(2, '10.0.0.1/24'), address(2, '2001:db8::1/64'), address(3, '10.1.0.1/24'));
    host.read();
    expect(localAddresses(host.model.interfaces).map((item) => item.endpointFlags)).toEqual([
      2,
      6,
      undefined,
    ]);
  });
});

describe('whatever happens to the host', () => {
  const step = fc.record({
    links: fc.subarray([2, 3, 4], { minLength: 1 }),
    withoutCarrier: fc.subarray([2, 3]),
    renamed: fc.boolean(),
    addresses: fc.uniqueArray(
      fc.record({ link: fc.constantFrom(2, 3, 4), n: fc.nat(1), flags: fc.constantFrom(0, 0x20, 0x40) }),
      { selector: ({ link: index, n }) => `${index} ${n}`, maxLength: 6 },
    ),
    routes: fc.subarray(['2 2', '3 2', '4 2']),
    denied: fc.boolean(),
  });

  it('what plugins were told adds up to what they see', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), fc.array(step, { maxLength: 12 }), (existing, check, steps) => {
        const host = new Host({ existing, checkRoute: check });
        const told = new Map<number, Set<string>>();
        for (const [at, { addresses, denied, links, renamed, routes, withoutCarrier }] of steps.entries()) {
          host.model.configure({
            notify: { ...ALL, existing, checkRoute: check },
            rules: denied ? [{ interface: 'e3', use: false }] : [],
          });
          const changes = host.model.handleReading({
            links: links.map((index) =>
              link(index, `${renamed ? 'f' : 'e'}${index}`, {
                flags: withoutCarrier.includes(index) ? IFF_UP : UP,
              }),
            ),
            addresses: addresses.map(({ flags, link: index, n }) =>
              address(index, `10.0.${n}.1/24`, { flags }),
            ),
            defaultRoute: (index, family) =>
              routes.includes(`${index} ${family}`) ? { metric: 0 } : undefined,
          });
          // Plugins take what is there at the start from the monitor, as mptcpd's do.
          const views = host.model.interfaces
            .filter(({ excludedBy }) => excludedBy === undefined)
            .map((item) => pluginInterface(item));
          if (at === 0) {
            const news = new Set(changes.map(tell));
            for (const { addresses: own, index, name } of views) {
              const old = own.map((item) => item.address).filter((text) => !news.has(`+${name} ${text}`));
              told.set(index, new Set(old));
            }
          }
          for (const change of changes) {
            const { index } = change.interface;
            if (change.kind === 'newInterface') {
              expect(told.has(index)).toBe(false);
              told.set(index, new Set());
            } else if (change.kind === 'deleteInterface') {
              expect(told.get(index)?.size).toBe(0);
              told.delete(index);
            } else if (change.kind === 'newLocalAddress') {
              expect(told.get(index)?.has(change.address.address)).toBe(false);
              told.get(index)?.add(change.address.address);
            } else if (change.kind === 'deleteLocalAddress') {
              expect(told.get(index)?.delete(change.address.address)).toBe(true);
            } else {
              expect(told.has(index)).toBe(true);
            }
          }
          const seen = new Map(
            views.map((view) => [view.index, new Set(view.addresses.map((item) => item.address))]),
          );
          expect(told).toEqual(seen);
        }
      }),
      { numRuns: 500 },
    );
  });
});
