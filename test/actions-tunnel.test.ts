/**
 * Paths of a tunnel up, down and with other weights, through the control calls of a `weft up` beside it and by the
 * commands that the answers name. Topology: guide's figure 3 (tunnel-figure3.test.ts).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ActionAnswer, Overview } from '../src/service/index.ts';
import { ObservedNode } from './support/observed.ts';
import { ping, TunnelLab, type TunnelServer } from './support/tunnel-lab.ts';
import { runWeft, startWeft, type RunningWeft } from './support/weft-program.ts';

const SOON = { interval: 20, timeout: 20_000 };

let lab: TunnelLab;
let weft: RunningWeft | undefined;

beforeEach(async () => {
  lab = await TunnelLab.build();
});

afterEach(async () => {
  await weft?.stop();
  weft = undefined;
  await lab.close();
});

async function observe(): Promise<ObservedNode> {
  weft = await startWeft(lab.node('a'));
  return new ObservedNode(lab.node('a'));
}

/** How many packets each path sends while four echoes are asked for. */
async function shares(server: TunnelServer): Promise<number[]> {
  const sent = async () => (await server.connection()).paths.map(({ sentPackets }) => sentPackets);
  const before = await sent();
  expect((await ping(lab.node('a'), '10.0.0.3', ['-c', '4', '-W', '5'])).received).toBe(4);
  return (await sent()).map((count, index) => count - (before[index] ?? 0));
}

const pathsSeen = ({ tunnels }: Overview) => tunnels[0]?.connections[0]?.paths;

async function type(command: string): Promise<void> {
  const [, ...words] = command.split(' ');
  const { code, stderr } = await runWeft(lab.node('a'), ...words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

it('goes down and up, for that path only, and is seen', async () => {
  const [a, b] = await lab.startBoth();
  const observed = await observe();
  const name = (await a.connection()).name;
  const action = { tunnel: 'tun0', connection: name, path: 'eth2' };
  const answer = await observed.get<ActionAnswer>('/v1/tunnel-path', { ...action, up: false });
  expect(answer).toEqual({
    text: `path eth2 of ${name} (tun0) was set down by hand`,
    command: `weft tunnel path tun0 ${name} eth2 down`,
  });
  await a.pathsAre(0, 131);
  await b.pathsAre(0, 128);
  expect((await shares(a))[1]).toBe(0);
  await expect
    .poll(async () => pathsSeen(await observed.overview())?.map(({ state }) => state), SOON)
    .toEqual(['active', 'down']);
  await type(`weft tunnel path tun0 ${name} eth2 up`);
  await a.pathsAre(0, 0);
  await type(answer.command);
  await a.pathsAre(0, 131);
});

it('has another weight from the next packet on, which a save writes down', async () => {
  const [a] = await lab.startBoth();
  const observed = await observe();
  const { file, name } = await a.connection();
  expect(await shares(a)).toEqual([2, 2]);
  const action = { tunnel: 'tun0', connection: file, path: 'eth1', weight: 3 };
  const answer = await observed.get<ActionAnswer>('/v1/tunnel-path', action);
  expect(answer.command).toBe(`weft tunnel path tun0 ${name} eth1 weight 3`);
  expect(await shares(a)).toEqual([3, 1]);
  await expect
    .poll(async () => pathsSeen(await observed.overview())?.map(({ weight }) => weight), SOON)
    .toEqual([3, 1]);
  // A reload of a file that has not changed leaves it alone.
  await a.mpt('reload');
  expect((await a.connection()).paths.map(({ weightOut }) => weightOut)).toEqual([3, 1]);
  await a.mpt('save');
  expect(readFileSync(join(a.folder.path, 'conf', 'connections', file), 'utf8')).toMatch(/weight_out *= *3/);
  await type(`weft tunnel path tun0 ${name} eth1 weight 1`);
  expect(await shares(a)).toEqual([2, 2]);
});

it('says what there is when it is asked for something else', async () => {
  const [a] = await lab.startBoth();
  const observed = await observe();
  const { name } = await a.connection();
  const action = { tunnel: 'tun0', connection: name, path: 'eth1', up: true };
  const cases = [
    [{ ...action, tunnel: 'tun9' }, 'NO_SUCH_TUNNEL', 'tun0'],
    [{ ...action, connection: 'nobody' }, 'NO_SUCH_TUNNEL_PATH', name],
    [{ ...action, path: 'eth3' }, 'NO_SUCH_TUNNEL_PATH', 'eth1, eth2'],
  ] as const;
  for (const [body, code, hint] of cases) {
    const answer = await observed.ask('/v1/tunnel-path', body);
    expect(answer).toMatchObject({ status: 404, body: { code } });
    expect((answer.body as { error: string }).error).toContain(hint);
  }
  const { code, stderr } = await runWeft(lab.node('a'), 'tunnel', 'path', 'tun0', name, 'eth1', 'weight');
  expect({ code, stderr }).toEqual({ code: 1, stderr: 'weft: a weight is set with "weight NUMBER"\n' });
});
