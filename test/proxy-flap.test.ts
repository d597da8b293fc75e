/**
 * Thousands of tunnels of a real `weft up` while an uplink comes and goes: every byte of every tunnel is checked, both
 * ways.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, checked traffic, MPTCP)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 *
 * In the client: `weft up`, and a program with all the tunnels; in the server, for some, a `weft serve` and a server
 * that speaks plain TCP. wifi0, where every connection begins, is lost for two
 * seconds and back for two, each time in another manner.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Lab, PROXY } from '../src/lab/index.ts';
import { listConnections } from '../src/mptcp/index.ts';
import { bundleTypeScript } from './support/bundle.ts';
import type { CheckedClientOptions, CheckedResult } from './support/checked-client-child.ts';
import { ObservedNode } from './support/observed.ts';
import { until } from './support/up-host.ts';
import { readStatus, RunningWeft, startWeft, weftCommand } from './support/weft-program.ts';

const PORT = 7000;
const FAR_PORT = 4443;
const PHASE_MS = 2000;
/** How wifi0 is lost, and how it comes back. */
const FAULTS = [
  ['unplug', 'plug'],
  ['cut', 'restore'],
  ['down', 'up'],
  ['removeAddresses', 'up'],
] as const;

let lab: Lab;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync('/run/weft-flap-');
  lab = await Lab.twoUplinks({ rateBps: 100e6, delayMs: 5, web: false });
});
afterEach(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

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

interface Scene {
  readonly tunnels: number;
  readonly entrances: CheckedClientOptions['entrances'];
  /** Between the client's Weft and the server. */
  readonly protocol: 'mptcp' | 'tcp';
  readonly arguments: readonly string[];
}

/** A far end in the server, and what the client's Weft is told of it. */
async function startFarEnd(): Promise<readonly string[]> {
  const tokenFile = join(folder, 'token');
  const far = lab
    .node('server')
    .spawn(
      weftCommand(
        'serve',
        '--listen',
        `${lab.serverAddress}:${FAR_PORT}`,
        '--token-file',
        tokenFile,
        '--allow',
        `${lab.serverAddress}/32`,
      ),
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
  await new RunningWeft(far).seen(/listen/i);
  return ['--upstream', `weft://${lab.serverAddress}:${FAR_PORT}`, '--token-file', tokenFile];
}

const SCENES: readonly (readonly [string, () => Promise<Scene>])[] = [
  [
    '2000 tunnels',
    () =>
      Promise.resolve({
        tunnels: 2000,
        entrances: ['connect', 'socks5', 'socks4a'],
        protocol: 'mptcp',
        arguments: [],
      }),
  ],
  [
    '300 tunnels through a far end',
    async () => ({
      tunnels: 300,
      entrances: ['connect', 'socks5-name'],
      protocol: 'tcp',
      arguments: await startFarEnd(),
    }),
  ],
];

it.each(SCENES)('%s lose nothing while an uplink flaps', { timeout: 120_000 }, async (_name, prepare) => {
  const scene = await prepare();
  const { tunnels } = scene;
  const pipes: SpawnOptions = { stdio: 'pipe' };
  const program = (name: string) => bundleTypeScript(new URL(`support/${name}.ts`, import.meta.url));
  const [serverProgram, clientProgram] = [
    await program('checked-server-child'),
    await program('checked-client-child'),
  ];
  const server = lab
    .node('server')
    .spawn([process.execPath, serverProgram, lab.serverAddress, String(PORT), scene.protocol], pipes);
  expect(await linesOf(server)()).toBe('ready');
  const weft = await startWeft(lab.node('client'), [...scene.arguments, '--no-web']);
  const pid = weft.process.pid!;
  // What begins when it is ready has begun then.
  await new ObservedNode(lab.node('client'), 'up').overview();
  const descriptorsBefore = descriptors(pid);

  const options: CheckedClientOptions = {
    proxy: PROXY,
    target: { address: lab.serverAddress, port: PORT },
    entrances: scene.entrances,
    tunnels,
    opening: 64,
    largestUp: 50_000,
    largestDown: 200_000,
    restMs: 6000,
    seed: 1,
  };
  const client = lab.node('client').spawn([process.execPath, clientProgram, JSON.stringify(options)], pipes);
  const told = linesOf(client);
  expect(await told()).toEqual({ open: tunnels });
  const subflows = () =>
    listConnections({ netns: lab.node('client').path }).reduce(
      (sum, { subflows: own }) => sum + own.length,
      0,
    );
  await until(() => subflows() >= 2 * tunnels, 'both paths of every tunnel');

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
  expect(result).toMatchObject({ tunnels, failed: 0, problems: [] });
  expect(result.rounds).toBeGreaterThan(2 * tunnels);
  // Neither uplink carried it alone.
  expect(Math.min(...carried)).toBeGreaterThan(1_000_000);

  await until(() => descriptors(pid) <= descriptorsBefore, 'the descriptors of the tunnels to be closed');
  const { proxy } = await readStatus(lab.node('client'));
  expect(proxy.counters).toMatchObject({
    tunnelsOpened: tunnels,
    tunnelsClosedByReason: { finished: tunnels },
    upstreamsMptcp: tunnels,
    bytesUp: result.bytesUp,
    bytesDown: result.bytesDown,
  });
  expect(await weft.stop()).toBe(0);
});
