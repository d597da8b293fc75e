/**
 * The daemon while a host falls apart and comes together again: random changes, and after each burst the endpoints
 * must be those of the addresses that `ip` shows as usable. The host is drawn in support/up-host.ts.
 *
 * `WEFT_TEST_SEED` chooses another run than the usual one.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DaemonHost } from './support/daemon-host.ts';
import { until } from './support/up-host.ts';

const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 1);
const LINKS = [1, 2, 3] as const;
const BURSTS = 30;
/** Another program's, of an address that no link has. */
const FOREIGN = '203.0.113.9';

let host: DaemonHost;

beforeEach(() => {
  host = new DaemonHost('wdc-');
});
afterEach(() => host.close());

interface Command {
  readonly where: 'host' | 'net';
  readonly command: string;
}

const on = (command: string): Command => ({ where: 'host', command });
const beyond = (command: string): Command => ({ where: 'net', command });

/** Commands for ip; many fail, because what they are about is not there at the moment. */
const change: fc.Arbitrary<readonly Command[]> = fc
  .tuple(fc.constantFrom(...LINKS), fc.nat(13), fc.constantFrom(2, 3))
  .map(([n, kind, last]) => {
    const v4 = `10.${n}.0.${last}/32 dev c${n}`;
    const v6 = `2001:db8:${n}::${last}/64 dev c${n}`;
    const whole = [
      on(`link add c${n} type veth peer name p${n} netns ${host.net.namespace}`),
      beyond(`link set p${n} up`),
      on(`link set c${n} up`),
      on(`addr add ${v4}`),
      on(`addr add ${v6} nodad`),
    ];
    const choices: readonly (readonly Command[])[] = [
      whole,
      whole,
      whole,
      [on(`link delete c${n}`)],
      [on(`link set c${n} down`)],
      [on(`link set c${n} down`), on(`link set c${n} up`)],
      [beyond(`link set p${n} down`)],
      [beyond(`link set p${n} up`)],
      [on(`addr del ${v4}`)],
      [on(`addr del ${v6}`), on(`addr add ${v4}`)],
      [on(`addr change ${v6} preferred_lft 0`)],
      [on(`addr change ${v6} preferred_lft forever`)],
      [on(`link set c${n} name x${n}`), on(`link set x${n} name c${n}`)],
      [on('mptcp endpoint flush'), on(`mptcp endpoint add ${FOREIGN} id 200 signal`)],
    ];
    return choices[kind]!;
  });

function run({ command, where }: Command): void {
  try {
    if (where === 'host') host.ip(command);
    else host.netIp(command);
  } catch {
    // It is not there, or there already.
  }
}

interface ShownLink {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly operstate: string;
  readonly addr_info: readonly {
    readonly local: string;
    readonly scope: string;
    readonly deprecated?: boolean;
    readonly tentative?: boolean;
  }[];
}

/** `c1 10.1.0.2`, each once: what `ip` shows as usable. */
function usable(): ReadonlySet<string> {
  const links = JSON.parse(host.ip('-json addr show')) as readonly Partial<ShownLink>[];
  const ready = links.filter(({ flags = [], operstate }) => flags.includes('LOWER_UP') && operstate === 'UP');
  return new Set(
    ready.flatMap(({ addr_info: own = [], ifname = '' }) =>
      own
        .filter((item) => item.scope === 'global' && item.deprecated !== true && item.tentative !== true)
        .map((item) => `${ifname} ${item.local}`),
    ),
  );
}

it('ends at the endpoints of the usable addresses, whatever happened', async () => {
  for (const n of LINKS) host.addUplink(n);
  host.ip(`mptcp endpoint add ${FOREIGN} id 200 signal`);
  await host.run();
  const bursts = fc.sample(fc.array(change, { minLength: 1, maxLength: 12 }), {
    numRuns: BURSTS,
    seed: SEED,
  });
  const theirs = `- ${FOREIGN}`;
  let most = 0;
  for (const burst of bursts) {
    for (const command of burst.flat()) run(command);
    const settled = () => {
      const expected = usable();
      const own = host.places().filter((place) => place !== theirs);
      // The smallest table that kernels have takes eight.
      const least = Math.min(expected.size, 7);
      return own.length >= least && own.every((place) => expected.has(place));
    };
    try {
      await until(settled, 'the endpoints of the usable addresses');
    } catch (error) {
      const now = `usable ${[...usable()].join(', ')}; endpoints ${host.places().join(', ')}`;
      throw new Error(`${String(error)}: ${now}`, { cause: error });
    }
    most = Math.max(most, usable().size);
    expect(host.places()).toContain(theirs);
    const limit = Math.min(usable().size + 2, 8);
    expect(Number(/subflows (\d+)/.exec(host.limits())?.[1])).toBeGreaterThanOrEqual(limit);
  }
  expect(most).toBeGreaterThan(4);
  await host.end();
  expect(host.places()).toEqual([`- ${FOREIGN}`]);
  expect(host.log.filter((line) => line.startsWith('error'))).toEqual([]);
});
