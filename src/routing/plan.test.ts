import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  address,
  applyOperation,
  link,
  loopback,
  NO_HOST,
  route,
  rule,
  twoUplinks,
  UP,
  wayOut,
  withUplink,
} from '../../test/support/model-host.ts';
import { IFF_UP, RTNH_F_ONLINK, RTPROT_WEFT, type Route } from '../netlink/index.ts';
import type { HostView } from './host.ts';
import { FIRST_TABLE, isOwnRoute, isOwnRule, RULE_PRIORITY, TABLE_COUNT } from './numbers.ts';
import { findPaths } from './paths.ts';
import { describeOperation, planRouting } from './plan.ts';
import { MAX_DETOURS, wantedRouting } from './wanted.ts';

const planFor = (view: HostView) => planRouting(wantedRouting(findPaths(view).paths, view), view);

/** Plans and carries out; the model refuses what the kernel would. */
const settle = (view: HostView): HostView => planFor(view).reduce(applyOperation, view);

const lines = (view: HostView) => planFor(view).map(describeOperation);

const foreign = (view: HostView) => ({
  routes: view.routes.filter((item) => !isOwnRoute(item)),
  rules: view.rules.filter((item) => !isOwnRule(item)),
});

const oneFamily = (): HostView => {
  const view = withUplink(NO_HOST, 2, 'c1', '10.1.0.2/24', '10.1.0.1', 100);
  return withUplink(view, 3, 'c2', '10.2.0.2/24', '10.2.0.1', 200);
};

describe('the plan for a fresh host', () => {
  it('makes a table and a rule for each address: routes first, and in them the subnet before the gateway', () => {
    expect(lines(oneFamily())).toEqual([
      'add route 10.1.0.0/24 link 2 table 17800',
      'add route 10.2.0.0/24 throw table 17800',
      'add route default via 10.1.0.1 link 2 table 17800',
      'add route 10.2.0.0/24 link 3 table 17801',
      'add route 10.1.0.0/24 throw table 17801',
      'add route default via 10.2.0.1 link 3 table 17801',
      'add rule 17800: from 10.1.0.2/32 lookup 17800',
      'add rule 17800: from 10.2.0.2/32 lookup 17801',
    ]);
  });

  it('marks everything as Weft’s', () => {
    const own = settle(twoUplinks());
    expect(own.rules).toHaveLength(4);
    expect(own.rules.every((item) => item.protocol === RTPROT_WEFT && item.priority === RULE_PRIORITY)).toBe(
      true,
    );
    const added = own.routes.slice(twoUplinks().routes.length);
    expect(added.every((item) => item.protocol === RTPROT_WEFT)).toBe(true);
  });

  it('decides default routes only: other destinations go as the main table says', () => {
    const base = oneFamily();
    const view = settle({
      ...base,
      links: [...base.links, link(9, 'docker0', { kind: 'bridge' })],
      routes: [
        ...base.routes,
        route('172.17.0.0/16', 9),
        route('10.50.0.0/16', 2, { gateway: '10.1.0.9' }),
        { ...route('10.66.0.0/16', 1), type: 7 },
      ],
    });
    expect(wayOut(view, '10.2.0.2', '203.0.113.1')).toBe(3);
    expect(wayOut(view, '10.2.0.2', '172.17.0.5')).toBe(9);
    expect(wayOut(view, '10.2.0.2', '10.50.0.5')).toBe(2);
    expect(wayOut(view, '10.2.0.2', '10.1.0.77')).toBe(2);
    expect(wayOut(view, '10.2.0.2', '10.2.0.77')).toBe(3);
  });

  it('sends to its own subnet by its own link, although another link has the same subnet', () => {
    let view = withUplink(NO_HOST, 2, 'c1', '192.168.1.10/24', '192.168.1.1', 100);
    view = settle(withUplink(view, 3, 'c2', '192.168.1.11/24', '192.168.1.1', 200));
    expect(wayOut(view, '192.168.1.11', '192.168.1.50')).toBe(3);
    expect(wayOut(view, '192.168.1.10', '192.168.1.50')).toBe(2);
    expect(wayOut(view, '192.168.1.11', '203.0.113.1')).toBe(3);
  });

  it('marks a gateway outside of every subnet as on-link', () => {
    const view: HostView = {
      ...NO_HOST,
      links: [loopback, link(2, 'c1')],
      addresses: [address(2, '198.51.100.7/32')],
      routes: [route('default', 2, { gateway: '10.0.0.1', flags: RTNH_F_ONLINK })],
    };
    expect(settle(view).routes.find((item) => isOwnRoute(item))?.flags).toBe(RTNH_F_ONLINK);
    const reached = { ...view, routes: [...view.routes, route('10.0.0.1/32', 2)] };
    expect(settle(reached).routes.find((item) => isOwnRoute(item) && item.gateway !== undefined)?.flags).toBe(
      0,
    );
  });

  it('bounds the detours and keeps the host’s subnets among them', () => {
    const many: Route[] = Array.from({ length: 1000 }, (_, i) =>
      route(`20.${i >> 8}.${i & 255}.0/24`, 2, { gateway: '10.1.0.1' }),
    );
    const base = oneFamily();
    const view = settle({ ...base, routes: [...many, ...base.routes, route('172.17.0.0/16', 9)] });
    const throws = view.routes.filter(
      (item) => isOwnRoute(item) && item.table === FIRST_TABLE && item.type === 9,
    );
    expect(throws).toHaveLength(MAX_DETOURS);
    expect(throws.some((item) => item.destination?.address === '172.17.0.0')).toBe(true);
    expect(planFor(view)).toEqual([]);
  });

  it('bounds the tables', () => {
    const base = oneFamily();
    const addresses = Array.from({ length: 400 }, (_, i) => address(2, `10.1.${1 + (i >> 8)}.${i & 255}/16`));
    const view = settle({ ...base, addresses: [...base.addresses, ...addresses] });
    expect(view.rules.length).toBe(TABLE_COUNT);
    expect(Math.max(...view.rules.map((item) => item.table))).toBe(FIRST_TABLE + TABLE_COUNT - 1);
    expect(planFor(view)).toEqual([]);
  });
});

describe('the plan for a change', () => {
  it('exchanges the gateway in one operation', () => {
    const before = settle(oneFamily());
    const routes = before.routes.map((item) =>
      item.gateway === '10.2.0.1' && !isOwnRoute(item)
        ? Object.assign({}, item, { gateway: '10.2.0.254' })
        : item,
    );
    const operations = planFor({ ...before, routes });
    expect(operations.map((item) => item.kind)).toEqual(['replace-route']);
    expect(operations[0]).toMatchObject({ route: { gateway: '10.2.0.254', table: FIRST_TABLE + 1 } });
  });

  it('takes a vanished address’s rule before its routes, and does not give its table to a new address yet', () => {
    const before = settle(oneFamily());
    const renewed = {
      ...before,
      addresses: before.addresses.map((item) =>
        item.address === '10.2.0.2' ? Object.assign({}, item, { address: '10.2.0.99' }) : item,
      ),
    };
    expect(lines(renewed)).toEqual([
      'add route 10.2.0.0/24 link 3 table 17802',
      'add route 10.1.0.0/24 throw table 17802',
      'add route default via 10.2.0.1 link 3 table 17802',
      'add rule 17800: from 10.2.0.99/32 lookup 17802',
      'delete rule 17800: from 10.2.0.2/32 lookup 17801',
      'delete route 10.2.0.0/24 link 3 table 17801',
      'delete route 10.1.0.0/24 throw table 17801',
      'delete route default via 10.2.0.1 link 3 table 17801',
    ]);
  });

  it('keeps table and rule of an address whose link lost only its carrier, and makes none for one that had none', () => {
    const dark = (view: HostView): HostView => ({
      ...view,
      links: view.links.map((item) => (item.index === 3 ? Object.assign({}, item, { flags: IFF_UP }) : item)),
    });
    expect(planFor(dark(settle(oneFamily())))).toEqual([]);
    expect(settle(dark(oneFamily())).rules.map((item) => item.source?.address)).toEqual(['10.1.0.2']);
  });

  it('leaves an address alone that the administrator has routed already', () => {
    const base = oneFamily();
    const theirs = route('default', 3, { gateway: '10.2.0.1', table: 200 });
    const view = { ...base, routes: [...base.routes, theirs], rules: [rule('10.2.0.2/32', 200)] };
    const wanted = wantedRouting(findPaths(view).paths, view);
    expect(wanted.rules.map((item) => item.source?.address)).toEqual(['10.1.0.2']);
    expect(wanted.tables.get('10.2.0.2')).toEqual({ table: 200, own: false });
    // A rule to a table that leads nowhere is no help.
    const broken = { ...view, routes: base.routes };
    expect(wantedRouting(findPaths(broken).paths, broken).rules).toHaveLength(2);
  });

  it('keeps out of tables that others use, even when they come later', () => {
    const squatted = { ...oneFamily(), rules: [rule('10.9.9.9/32', FIRST_TABLE)] };
    expect(settle(squatted).rules.map((item) => item.table)).toEqual([FIRST_TABLE, 17_801, 17_802]);
    const before = settle(oneFamily());
    const later = {
      ...before,
      routes: [...before.routes, route('10.77.0.0/16', 2, { table: FIRST_TABLE, protocol: 4 })],
    };
    const after = settle(later);
    expect(after.rules.find((item) => item.source?.address === '10.1.0.2')?.table).toBe(17_802);
    expect(after.routes.filter((item) => item.table === FIRST_TABLE)).toHaveLength(1);
  });

  it('gives an address whose rule was taken away its table back', () => {
    const before = settle(oneFamily());
    const robbed = { ...before, rules: before.rules.slice(0, 1) };
    expect(lines(robbed)).toEqual(['add rule 17800: from 10.2.0.2/32 lookup 17801']);
  });

  it('removes what an earlier process left', () => {
    const left = settle(twoUplinks());
    const clean = planRouting({ routes: [], rules: [] }, left).reduce(applyOperation, left);
    expect(clean).toEqual(twoUplinks());
  });

  it('deletes nothing that only looks like Weft’s: same protocol elsewhere, same place by another', () => {
    const view = {
      ...NO_HOST,
      routes: [
        route('10.0.0.0/8', 2, { protocol: RTPROT_WEFT }),
        route('10.0.0.0/8', 2, { table: FIRST_TABLE, protocol: 4 }),
      ],
      rules: [
        rule('10.0.0.1/32', FIRST_TABLE, { priority: RULE_PRIORITY }),
        rule('10.0.0.1/32', FIRST_TABLE, { protocol: RTPROT_WEFT }),
        rule('10.0.0.1/32', 99, { protocol: RTPROT_WEFT, priority: RULE_PRIORITY }),
      ],
    };
    expect(planRouting({ routes: [], rules: [] }, view)).toEqual([]);
  });
});

/** What an administrator, a DHCP client or a cable can do to a host. */
type Change = (view: HostView) => HostView;

const LINKS = [2, 3, 4] as const;
const subnet = (index: number, v6: boolean) => (v6 ? `2001:db8:${index}::` : `10.${index}.0.`);

const without = <T>(list: readonly T[], drop: (item: T) => boolean) => list.filter((item) => !drop(item));

const setAddress =
  (index: number, host: number, v6: boolean, present: boolean): Change =>
  (view) => {
    const text = `${subnet(index, v6)}${host}`;
    const rest = without(view.addresses, (item) => item.linkIndex === index && item.address === text);
    return { ...view, addresses: present ? [...rest, address(index, `${text}/${v6 ? 64 : 24}`)] : rest };
  };

const setDefault =
  (index: number, gateway: number, v6: boolean, present: boolean): Change =>
  (view) => {
    const rest = without(
      view.routes,
      (item) =>
        item.table === 254 &&
        item.destination === undefined &&
        item.linkIndex === index &&
        item.family === (v6 ? 10 : 2),
    );
    const made = route('default', index, {
      gateway: `${subnet(index, v6)}${gateway}`,
      priority: index * 100,
    });
    return { ...view, routes: present ? [...rest, made] : rest };
  };

const setFlags =
  (index: number, flags: number): Change =>
  (view) => ({
    ...view,
    links: view.links.map((item) => (item.index === index ? Object.assign({}, item, { flags }) : item)),
  });

const setForeignTable =
  (table: number, present: boolean): Change =>
  (view) => {
    const rest = without(view.routes, (item) => item.table === table && item.protocol === 4);
    return {
      ...view,
      routes: present
        ? [...rest, route('10.200.0.0/16', 2, { table, protocol: 4, gateway: '10.2.0.1' })]
        : rest,
    };
  };

const change: fc.Arbitrary<Change> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...LINKS), fc.integer({ min: 2, max: 4 }), fc.boolean(), fc.boolean())
    .map((args) => setAddress(...args)),
  fc
    .tuple(fc.constantFrom(...LINKS), fc.constantFrom(1, 9), fc.boolean(), fc.boolean())
    .map((args) => setDefault(...args)),
  fc.tuple(fc.constantFrom(...LINKS), fc.constantFrom(0, IFF_UP, UP, UP)).map((args) => setFlags(...args)),
  fc
    .tuple(fc.integer({ min: FIRST_TABLE, max: FIRST_TABLE + 4 }), fc.boolean())
    .map((args) => setForeignTable(...args)),
);

const start: HostView = {
  ...NO_HOST,
  links: [loopback, ...LINKS.map((index) => link(index, `c${index}`))],
  routes: LINKS.flatMap((index) => [
    route(`10.${index}.0.0/24`, index),
    route(`2001:db8:${index}::/64`, index),
  ]),
};

/** Rules and table contents by address, without the numbers of the tables, which depend on what came before. */
function meaning(view: HostView): Record<string, string[]> {
  const text = (item: Route) =>
    `${item.destination?.address ?? 'default'} ${item.type} ${item.gateway ?? ''} ${item.type === 1 ? item.linkIndex : ''}`;
  const rules = view.rules.filter(isOwnRule);
  return Object.fromEntries(
    rules.map((item) => [
      item.source?.address ?? '',
      view.routes
        .filter((known) => isOwnRoute(known) && known.table === item.table && known.family === item.family)
        .map(text)
        .sort(),
    ]),
  );
}

describe('whatever happens to the host', () => {
  const histories = fc.array(change, { minLength: 1, maxLength: 25 });

  it('the plan succeeds, leads to what is wanted, is empty the second time, and touches nothing foreign', () => {
    fc.assert(
      fc.property(histories, (history) => {
        let view = start;
        for (const step of history) {
          const changed = step(view);
          view = settle(changed);
          expect(planFor(view)).toEqual([]);
          expect(foreign(view)).toEqual(foreign(changed));
          for (const path of findPaths(view).paths) {
            if (path.state !== 'usable') continue;
            const far = path.family === 2 ? '203.0.113.1' : '2001:db8:ffff::1';
            expect(wayOut(view, path.address, far)).toBe(path.linkIndex);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('a history ends where a fresh start ends', () => {
    fc.assert(
      fc.property(histories, (history) => {
        let lived = start;
        for (const step of history) lived = settle(step(lived));
        // Carrier back: an address that had a table before keeps it in the dark, one that a fresh start sees does not.
        for (const index of LINKS) {
          const known = lived.links.find((item) => item.index === index);
          if (known?.flags === IFF_UP) lived = settle(setFlags(index, UP)(lived));
        }
        const fresh = settle({ ...lived, ...foreign(lived) });
        expect(meaning(lived)).toEqual(meaning(fresh));
      }),
      { numRuns: 300 },
    );
  });

  it('at no moment of a plan does a rule lead into a table without a way out', () => {
    fc.assert(
      fc.property(histories, (history) => {
        let view = start;
        for (const step of history) {
          let moment = step(view);
          // One whose link lost its carrier may get another table too: somebody has taken its own.
          const { paths } = findPaths(moment);
          for (const operation of planFor(moment)) {
            moment = applyOperation(moment, operation);
            if (operation.kind !== 'add-rule') continue;
            const from = operation.rule.source?.address ?? '';
            const path = paths.find((item) => item.address === from)!;
            const far = path.family === 2 ? '203.0.113.1' : '2001:db8:ffff::1';
            expect(wayOut(moment, from, far)).toBe(path.linkIndex);
          }
          view = moment;
        }
      }),
      { numRuns: 200 },
    );
  });
});
