/**
 * Two thousand tunnels of a real `weft up` while an uplink comes and goes: every byte of every tunnel is checked, both
 * ways.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, checked traffic, MPTCP)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 *
 * In the client: `weft up`, and a program with all the tunnels. wifi0, where every connection begins, is lost for two
 * seconds and back for two, each time in another manner.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Lab, PROXY } from '../src/lab/index.ts';
import { listConnections } from '../src/mptcp/index.ts';
import { bundleTypeScript } from './support/bundle.ts';
import type { CheckedClientOptions, CheckedResult } from './support/checked-client-child.ts';
import { until } from './support/up-host.ts';
import { readStatus, startWeft } from './support/weft-program.ts';

const TUNNELS = 2000;
const PORT = 7000;
const PHASE_MS = 2000;
/** How wifi0 is lost, and how it comes back. */
const FAULTS = [
  ['unplug', 'plug'],
  ['cut', 'restore'],
  ['down', 'up'],
  ['removeAddresses', 'up'],
] as const;

let lab: Lab;

beforeEach(async () => {
  lab = await Lab.twoUplinks({ rateBps: 100e6, delayMs: 5, web: false });
});
afterEach(() => lab.close());

/** The lines of a program, one at a time, as JSON. */
function linesOf(child: ChildProcess): () => Promise<unknown> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  let errors = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (errors += text));
  return async () => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`the program ended: ${errors}`);
    return value === 'ready' ? value : (JSON.parse(value) as unknown);
  };
}

const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

it(`${TUNNELS} tunnels lose nothing while an uplink flaps`, { timeout: 120_000 }, async () => {
  const pipes: SpawnOptions = { stdio: 'pipe' };
  const program = (name: string) => bundleTypeScript(new URL(`support/${name}.ts`, import.meta.url));
  const [serverProgram, clientProgram] = [
    await program('checked-server-child'),
    await program('checked-client-child'),
  ];
  const server = lab
    .node('server')
    .spawn([process.execPath, serverProgram, lab.serverAddress, String(PORT), 'mptcp'], pipes);
  expect(await linesOf(server)()).toBe('ready');
  const weft = await startWeft(lab.node('client'));
  const pid = weft.process.pid!;
  const descriptorsBefore = descriptors(pid);

  const options: CheckedClientOptions = {
    proxy: PROXY,
    target: { address: lab.serverAddress, port: PORT },
    entrances: ['connect'],
    tunnels: TUNNELS,
    opening: 64,
    largestUp: 50_000,
    largestDown: 200_000,
    restMs: 6000,
    seed: 1,
  };
  const client = lab.node('client').spawn([process.execPath, clientProgram, JSON.stringify(options)], pipes);
  const told = linesOf(client);
  expect(await told()).toEqual({ open: TUNNELS });
  const subflows = () =>
    listConnections({ netns: lab.node('client').path }).reduce(
      (sum, { subflows: own }) => sum + own.length,
      0,
    );
  await until(() => subflows() >= 2 * TUNNELS, 'both paths of every tunnel');

  const uplink = lab.uplink(0);
  const before = lab.linkBytes();
  for (const [lose, regain] of FAULTS) {
    // The passing of time is what is tested here.
    uplink[lose]();
    await sleep(PHASE_MS);
    uplink[regain]();
    await sleep(PHASE_MS);
  }
  const carried = lab.linkBytes().map((link, index) => link.receivedBytes - before[index]!.receivedBytes);
  client.stdin!.write('finish\n');
  const { result } = (await told()) as { result: CheckedResult };
  expect(result).toMatchObject({ tunnels: TUNNELS, failed: 0, problems: [] });
  expect(result.rounds).toBeGreaterThan(2 * TUNNELS);
  // Neither uplink carried it alone.
  expect(Math.min(...carried)).toBeGreaterThan(1_000_000);

  await until(() => descriptors(pid) <= descriptorsBefore, 'the descriptors of the tunnels to be closed');
  const { proxy } = await readStatus(lab.node('client'));
  expect(proxy.counters).toMatchObject({
    tunnelsOpened: TUNNELS,
    tunnelsClosedByReason: { finished: TUNNELS },
    upstreamsMptcp: TUNNELS,
    bytesUp: result.bytesUp,
    bytesDown: result.bytesDown,
  });
  expect(await weft.stop()).toBe(0);
});
