/**
 * The supervisor while a host falls apart and comes together again: random changes against the kernel, and after
 * each burst the host must be what a fresh look would make of it. The host is drawn in support/up-host.ts.
 *
 * `WEFT_TEST_SEED` chooses another run than the usual one.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PathManager } from '../src/mptcp/index.ts';
import { RouteNetlink } from '../src/netlink/index.ts';
import { findPaths, isOwnRoute, isOwnRule, planRouting, wantedRouting } from '../src/routing/index.ts';
import { readHostView } from '../src/service/host-view.ts';
import { until, UpHost } from './support/up-host.ts';

const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 1);
const LINKS = [1, 2, 3] as const;
const BURSTS = 40;

let host: UpHost;
let netlink: RouteNetlink;
let pathManager: PathManager;

beforeEach(() => {
  host = new UpHost('wupc-');
  netlink = RouteNetlink.open({ netns: host.path });
  pathManager = PathManager.open({ netns: host.path });
});

afterEach(async () => {
  netlink.close();
  pathManager.close();
  await host.close();
});

interface Command {
  readonly where: 'host' | 'net';
  readonly command: string;
}

/** Commands for ip, in the host or beyond; many fail, because what they are about is not there at the moment. */
type Change = readonly Command[];

const on = (command: string): Command => ({ where: 'host', command });
const beyond = (command: string): Command => ({ where: 'net', command });

/** All that a link needs to be a path again. */
function repair(n: number): Change {
  return [
    on(`link add c${n} type veth peer name p${n} netns ${host.net.namespace}`),
    beyond(`link set p${n} up`),
    on(`link set c${n} up`),
    on(`addr add 10.${n}.0.2/24 dev c${n}`),
    on(`addr add 2001:db8:${n}::2/64 dev c${n} nodad`),
    on(`route add default via 10.${n}.0.1 dev c${n} metric ${n * 100}`),
    on(`-6 route add default via fe80::1 dev c${n} metric ${n * 100}`),
  ];
}

const change: fc.Arbitrary<Change> = fc
  .tuple(fc.constantFrom(...LINKS), fc.nat(18), fc.constantFrom(2, 3))
  .map(([n, what, last]): Change => {
    const v4 = `10.${n}.0.${last}`;
    const v6 = `2001:db8:${n}::${last}`;
    const choices: readonly Command[] = [
      on(`addr add ${v4}/24 dev c${n}`),
      on(`addr del ${v4}/24 dev c${n}`),
      on(`addr add ${v6}/64 dev c${n} nodad`),
      on(`addr del ${v6}/64 dev c${n}`),
      on(`route replace default via 10.${n}.0.${last + 7} dev c${n} metric ${n * 100}`),
      on(`route del default dev c${n}`),
      on(`-6 route add default via fe80::${last} dev c${n} metric ${n * 100}`),
      on(`-6 route del default dev c${n}`),
      on(`link set c${n} down`),
      on(`link set c${n} up`),
      beyond(`link set p${n} down`),
      beyond(`link set p${n} up`),
      on(`link del c${n}`),
      on(`link add c${n} type veth peer name p${n} netns ${host.net.namespace}`),
    ];
    const choice = choices[what];
    return choice === undefined ? repair(n) : [choice];
  });

/** Empty when the host is as it should be. */
function complaints(): string[] {
  const view = readHostView(netlink);
  const { paths } = findPaths(view);
  const plan = planRouting(wantedRouting(paths, view), view);
  const wanted = paths.filter((path) => path.state === 'usable').map((path) => path.address);
  const present = pathManager.endpoints().map((endpoint) => endpoint.address);
  const capacity = 8;
  const missing = present.length >= capacity ? [] : wanted.filter((address) => !present.includes(address));
  return [
    ...plan.map((operation) => JSON.stringify(operation)),
    ...missing.map((address) => `no endpoint for ${address}`),
    ...present
      .filter((address) => !wanted.includes(address))
      .map((address) => `endpoint ${address} too many`),
  ];
}

it(`ends every burst of changes as a fresh look would (seed ${SEED})`, { timeout: 120_000 }, async () => {
  for (const n of LINKS) host.addUplink(n);
  const supervisor = await host.start();
  expect(complaints()).toEqual([]);
  const bursts = fc.sample(fc.array(change, { minLength: 1, maxLength: 12 }), {
    numRuns: BURSTS,
    seed: SEED,
  });
  for (const [number, burst] of bursts.entries()) {
    for (const { command, where } of burst.flat()) {
      try {
        if (where === 'host') host.ip(command);
        else host.netIp(command);
      } catch {
        // What it is about is not there.
      }
      // Now and then a look falls between two changes of a burst.
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await until(() => complaints().length === 0, `burst ${number}: ${JSON.stringify(burst)}`).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\n${complaints().join('\n')}\n${host.log.slice(-20).join('\n')}`);
      },
    );
  }
  expect(supervisor.status().actions.overruns).toBe(0);
  await host.stop(supervisor);
  expect(netlink.rules().filter(isOwnRule)).toEqual([]);
  expect(netlink.routes().filter(isOwnRoute)).toEqual([]);
  expect(pathManager.endpoints()).toEqual([]);
  expect(pathManager.limits()).toEqual({ addAddrAccepted: 0, subflows: 2 });
});
