import { expect, it } from 'vitest';
import { WeftError } from '../../base/index.ts';
import type { TunnelPathStatus } from '../../tunnel/index.ts';
import type { TunnelReport } from '../tunnel/index.ts';
import type { ObservedEvent } from './model.ts';
import { readTunnel, TunnelWatch } from './tunnel-watch.ts';

type Path = Partial<TunnelPathStatus>;

function report(...paths: Path[]): TunnelReport {
  const all = paths.map((path, n) =>
    Object.assign(
      {
        interfaceName: `eth${n}`,
        privateAddress: `10.${n}.0.2`,
        remoteAddress: '203.0.113.9',
        weightOut: 10,
        status: 0,
        isUsable: true,
        isLinkUp: true,
        sentBps: 1000,
        receivedBps: 2000,
      },
      path,
    ),
  );
  return {
    tunnel: { interfaceName: 'tun0' },
    connections: [{ name: 'home', paths: all }],
  } as unknown as TunnelReport;
}

const statesOf = (...paths: Path[]) =>
  readTunnel(report(...paths)).connections[0]!.paths.map(({ name, state }) => `${name} ${state}`);

it('tells how each path does, by the names that commands take', () => {
  expect(
    statesOf(
      {},
      { isUsable: false, status: 128 },
      { isUsable: false, status: 131 },
      { isLinkUp: false, isUsable: false, status: 129 },
      { lacks: 'link', isLinkUp: false, isUsable: false },
      { lacks: 'address', isUsable: false },
      { interfaceName: 'eth0' },
    ),
  ).toEqual([
    'eth0#0 active',
    'eth1 stale',
    'eth2 down',
    'eth3 down',
    'eth4 down',
    'eth5 waiting',
    'eth0#6 active',
  ]);
  expect(readTunnel(report({ rttUs: 5, lossRatio: 0.25 }))).toMatchObject({
    tunnel: 'tun0',
    connections: [
      { name: 'home', paths: [{ weight: 10, rttUs: 5, lossShare: 0.25, sentBitsPerSecond: 1000 }] },
    ],
  });
});

/** A watch whose answers the test gives, one after another. */
function makeWatch() {
  const events: ObservedEvent[] = [];
  const asked: { resolve: (reports: TunnelReport[]) => void; reject: (error: Error) => void }[] = [];
  const watch = new TunnelWatch(
    (event) => events.push(event),
    () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
  );
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { watch, events, asked, settle };
}

it('asks one question at a time, each second while somebody watches', async () => {
  const { asked, settle, watch } = makeWatch();
  const nowMs = Math.ceil(performance.now());
  watch.look(nowMs, true);
  watch.look(nowMs + 60_000, true);
  expect(asked).toHaveLength(1);
  asked[0]!.resolve([report({})]);
  await settle();
  expect(watch.tunnels(nowMs)).toHaveLength(1);
  watch.look(nowMs + 900, true);
  watch.look(nowMs + 4000, false);
  expect(asked).toHaveLength(1);
  watch.look(nowMs + 1000, true);
  expect(asked).toHaveLength(2);
  // It hangs: what it said is not told for ever.
  expect(watch.tunnels(nowMs + 60_000)).toEqual([]);
});

it('tells what changes, keeps what it knows after a failed question, and forgets tunnels that ended', async () => {
  const { asked, events, settle, watch } = makeWatch();
  let nowMs = Math.ceil(performance.now());
  const answer = async (how: (question: (typeof asked)[number]) => void) => {
    watch.look((nowMs += 1000), true);
    how(asked.at(-1)!);
    await settle();
  };
  await answer(({ resolve }) => resolve([report({}, {})]));
  expect(events).toEqual([]);
  await answer(({ resolve }) => resolve([report({}, { isUsable: false, status: 128 })]));
  expect(events).toMatchObject([
    {
      kind: 'tunnel',
      event: 'stale',
      text: 'tunnel tun0, connection home: path eth1 is stale: nothing is heard of the other end over it',
      fields: { tunnel: 'tun0', path: 'eth1', before: 'active' },
    },
  ]);
  await answer(({ reject }) => reject(new WeftError('it did not answer', { code: 'ETIMEDOUT' })));
  expect(watch.tunnels(performance.now())).toHaveLength(1);
  await answer(({ reject }) => reject(new WeftError('none', { code: 'NOT_RUNNING' })));
  expect(watch.tunnels(performance.now())).toEqual([]);
});
