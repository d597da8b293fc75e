/**
 * check_route: an address has an endpoint while its link has a default route of its family. The monitor's periodic
 * reading is far away in the tests that use the monitor alone, so that only the kernel's messages can bring it about.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NetworkMonitor, type NetworkHandlers } from '../src/pathmanager/network/network-monitor.ts';
import type { InterfaceRule } from '../src/pathmanager/index.ts';
import { DaemonHost, NOTIFY } from './support/daemon-host.ts';
import { until } from './support/up-host.ts';

let host: DaemonHost;
let monitor: NetworkMonitor | undefined;

beforeEach(() => {
  host = new DaemonHost('wdr-');
});
afterEach(async () => {
  monitor?.close();
  monitor = undefined;
  await host.close();
});

const HOUR_MS = 3_600_000;

/** Follows the host by messages only. @returns what is announced */
function follow(
  choice: { checkRoute?: boolean; rules?: readonly InterfaceRule[]; receiveBufferBytes?: number },
  handlers: Partial<NetworkHandlers> = {},
): () => string[] {
  const { checkRoute = true, receiveBufferBytes, rules = [] } = choice;
  const { logger } = host;
  const nothing = () => {};
  monitor = new NetworkMonitor({
    netns: host.path,
    logger,
    periodMs: HOUR_MS,
    notify: { ...NOTIFY, checkRoute },
    rules,
    ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }),
  });
  monitor.start({
    newInterface: nothing,
    updateInterface: nothing,
    deleteInterface: nothing,
    newLocalAddress: nothing,
    deleteLocalAddress: nothing,
    changed: nothing,
    overrun: nothing,
    ...handlers,
  });
  const own = monitor;
  return () => own.localAddresses().map((item) => `${item.linkName} ${item.address}`);
}

async function announced(read: () => string[], ...expected: readonly string[]): Promise<void> {
  await until(() => read().sort().join(', ') === [...expected].sort().join(', '), expected.join(', '));
}

it('the endpoint comes with the route, goes with it, and comes again, for each family', async () => {
  host.addUplink(1, { routes: false });
  await host.run({ notify: { checkRoute: true } });
  expect(host.places()).toEqual([]);
  expect(host.verdict('10.1.0.2')).toBe('waiting for a default route');
  host.addRoutes(1, { v6: false });
  await host.placed('c1 10.1.0.2');
  host.addRoutes(1, { v4: false });
  await host.placed('c1 10.1.0.2', 'c1 2001:db8:1::2');
  host.ip('route del default dev c1');
  await host.placed('c1 2001:db8:1::2');
  host.ip('-6 route del default dev c1');
  await host.placed();
  host.addRoutes(1);
  await host.placed('c1 10.1.0.2', 'c1 2001:db8:1::2');
});

it('a message about a default route is enough, however late', async () => {
  host.addUplink(1, { v6: false, routes: false });
  const read = follow({});
  await announced(read);
  host.addRoutes(1, { v6: false });
  await announced(read, 'c1 10.1.0.2');
  host.ip('route del default dev c1');
  await announced(read);
});

it('a default route in a table of its own counts when a rule leads there', async () => {
  host.addUplink(1, { v6: false, routes: false });
  const read = follow({});
  host.ip('route add default via 10.1.0.1 dev c1 table 77');
  host.ip('rule add oif c1 lookup 77');
  await announced(read, 'c1 10.1.0.2');
  host.ip('rule del oif c1 lookup 77');
  await announced(read);
});

it('a rule for an address gives that address its default route, and no other', async () => {
  host.addUplink(1, { v6: false, routes: false });
  host.ip('addr add 10.1.0.9/24 dev c1');
  const read = follow({});
  host.ip('route add default via 10.1.0.1 dev c1 table 77');
  host.ip('rule add from 10.1.0.2 lookup 77');
  await announced(read, 'c1 10.1.0.2');
  host.ip('rule del from 10.1.0.2 lookup 77');
  await announced(read);
});

it('routes that are no default route, or another link’s, do not count', async () => {
  host.addUplink(1, { v6: false, routes: false });
  host.addUplink(2, { v6: false });
  const read = follow({});
  host.ip('route add 192.0.2.0/24 via 10.1.0.1 dev c1');
  await announced(read, 'c2 10.2.0.2');
  host.ip('route add default via 10.1.0.1 dev c1 metric 5');
  // What goes to 192.0.2.1 by c1 takes the more specific one.
  host.ip('addr add 10.2.0.9/24 dev c2');
  await announced(read, 'c2 10.2.0.2', 'c2 10.2.0.9');
  host.ip('route del 192.0.2.0/24');
  await announced(read, 'c1 10.1.0.2', 'c2 10.2.0.2', 'c2 10.2.0.9');
});

it('one default route over several links counts for each of them', async () => {
  host.addUplink(1, { v6: false, routes: false });
  host.addUplink(2, { v6: false, routes: false });
  const read = follow({});
  host.ip('route add default nexthop via 10.1.0.1 dev c1 nexthop via 10.2.0.1 dev c2');
  await announced(read, 'c1 10.1.0.2', 'c2 10.2.0.2');
});

it('the metric of the default route decides where a rule asks for it', async () => {
  host.addUplink(1, { v6: false, metric: 100 });
  const read = follow({ checkRoute: false, rules: [{ metric: { is: '>', value: 600 }, use: false }] });
  await announced(read, 'c1 10.1.0.2');
  host.ip('route replace default via 10.1.0.1 dev c1 metric 700');
  await announced(read, 'c1 10.1.0.2');
  host.ip('route del default dev c1 metric 100');
  await announced(read);
  host.ip('route add default via 10.1.0.1 dev c1 metric 50');
  await announced(read, 'c1 10.1.0.2');
});

it('other routes cost no reading, however many change', async () => {
  host.addUplink(1, { v6: false });
  const read = follow({});
  await announced(read, 'c1 10.1.0.2');
  const before = monitor!.counters.readings;
  for (let i = 0; i < 30; i++) {
    host.ip(`route add 100.64.${i}.0/24 via 10.1.0.1`);
    // So that the messages come one by one, as long as the machine is fast enough.
    await new Promise((resolve) => {
      setTimeout(resolve, 3);
    });
  }
  host.ip('route del default dev c1');
  await announced(read);
  expect(monitor!.counters.readings - before).toBeLessThanOrEqual(3);
});

it('after an overrun everything is read anew', async () => {
  host.addUplink(1, { v6: false });
  let overruns = 0;
  const read = follow({ receiveBufferBytes: 4096 }, { overrun: () => overruns++ });
  await announced(read, 'c1 10.1.0.2');
  // Messages that mean nothing fill the buffer, and those of the address find no room.
  host.batch([
    ...Array.from({ length: 300 }, (_, i) => `route add 100.${i >> 8}.${i & 255}.0/24 via 10.1.0.1`),
    'addr add 10.1.0.3/24 dev c1',
  ]);
  await announced(read, 'c1 10.1.0.2', 'c1 10.1.0.3');
  expect(overruns).toBeGreaterThan(0);
  expect(monitor!.counters.overruns).toBe(overruns);
});

it('a change of settings begins and ends following routes', async () => {
  host.addUplink(1, { v6: false, routes: false });
  const read = follow({ checkRoute: false });
  await announced(read, 'c1 10.1.0.2');
  monitor!.configure({ notify: { ...NOTIFY, checkRoute: true }, rules: [] });
  await announced(read);
  host.addRoutes(1, { v6: false });
  await announced(read, 'c1 10.1.0.2');
});
