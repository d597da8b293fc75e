/**
 * The observer in the lab: what it tells of a two-path download against what the kernel and the links say, and what it
 * tells of paths that are cut without a word, unplugged, and brought back.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import { Lab } from '../src/lab/index.ts';
import { connectFd, listConnections, PathManager } from '../src/mptcp/index.ts';
import type { ConnectionDetail, PathReading, SubflowReading } from '../src/service/observe/model.ts';
import { Observer } from '../src/service/observe/observer.ts';
import type { ObserverSources } from '../src/service/observe/sources.ts';
import { Supervisor } from '../src/service/supervisor.ts';
import { until } from './support/up-host.ts';

const RATE_BPS = 20e6;

let lab: Lab;
let supervisor: Supervisor;
let observer: Observer;
let stateFolder: string;
const sockets: Socket[] = [];

const sources = (): ObserverSources => ({
  program: 'up',
  version: '0.0.0',
  host: () => ({ ...supervisor.status(), explanation: ['As it is.'], mayChange: true }),
  proxied: () => [],
  proxyAddresses: () => ['127.0.0.1:13128'],
});

beforeEach(async () => {
  lab = await Lab.twoUplinks({ rateBps: RATE_BPS, delayMs: 5 });
  const { path } = lab.node('client');
  stateFolder = mkdtempSync('/run/weft-observer-test-');
  supervisor = new Supervisor({ logger: silentLogger, netns: path, stateFolder });
  await supervisor.start();
  observer = new Observer({ sources: sources(), logger: silentLogger, netns: path });
  await observer.start();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await observer.stop();
  await supervisor.stop();
  await lab.close();
  rmSync(stateFolder, { recursive: true, force: true });
});

/** A download that lasts as long as the test; it is slowed by the links only. */
async function beginDownload(totalBytes = 400_000_000): Promise<Socket> {
  const connecting = lab
    .node('client')
    .inside(() => connectFd({ address: lab.serverAddress, port: 80, timeoutMs: 10_000 }));
  const socket = new Socket({ fd: (await connecting).fd });
  sockets.push(socket.on('error', () => {}));
  const asked = get({ createConnection: () => socket, path: `/bytes/${totalBytes}` });
  asked.on('error', () => {});
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.on('error', () => {}).resume();
  return socket;
}

const pathOf = (link: string): PathReading | undefined =>
  observer.overview().paths.find((path) => path.link === link && path.family === 4);

function theConnection(): ConnectionDetail | undefined {
  const [row] = observer.connections({ search: lab.serverAddress }).rows;
  return row === undefined ? undefined : observer.connection(row.id);
}

const subflowOn = (link: string): SubflowReading | undefined =>
  theConnection()?.subflows.find((subflow) => subflow.link === link);

const isMoving = (path: PathReading | undefined) => (path?.receivedBitsPerSecond ?? 0) > RATE_BPS / 20;

/** Both paths carry. */
async function beginOnBoth(): Promise<Socket> {
  observer.onSample(() => {});
  const socket = await beginDownload();
  await until(() => isMoving(pathOf('wifi0')) && isMoving(pathOf('lte0')), 'both paths to carry');
  return socket;
}

it('sees a connection over both paths, with the kernel’s numbers and its program', async () => {
  expect(observer.overview()).toMatchObject({
    program: 'up',
    mode: 'multipath',
    proxyAddresses: ['127.0.0.1:13128'],
    totals: { connections: 0, mptcp: 0 },
    multipath: { inUse: false, explanation: ['As it is.'] },
  });
  expect(observer.overview().links.map(({ link, up }) => [link, up])).toEqual([
    ['wifi0', true],
    ['lte0', true],
  ]);
  const socket = await beginOnBoth();
  const overview = observer.overview();
  expect(overview.totals).toMatchObject({ connections: 1, mptcp: 1, subflows: 2, severalPaths: 1 });
  expect(overview.multipath.inUse).toBe(true);
  expect(overview.peers).toMatchObject([
    { address: lab.serverAddress, connections: 1, subflows: 2, ways: [{ subflows: 1 }, { subflows: 1 }] },
  ]);
  await until(() => theConnection()?.program !== undefined, 'the name of the program');
  const connection = theConnection()!;
  expect(connection).toMatchObject({
    owner: 'program',
    pid: process.pid,
    protocol: 'mptcp',
    state: 'established',
    localPort: socket.localPort,
    remoteAddress: lab.serverAddress,
    remotePort: 80,
    serverSide: false,
    denyJoinId0: false,
  });
  expect([...connection.links].sort()).toEqual(['lte0', 'wifi0']);
  for (const subflow of connection.subflows) expect(subflow).toMatchObject({ tcpState: 'established' });
  await until(() => theConnection()!.subflows.every(({ state }) => state === 'active'), 'both to be active');

  // The observer's counters lie between two readings of the kernel's.
  const read = () =>
    listConnections({ netns: lab.node('client').path }).find(({ token }) => token === connection.token)!;
  const before = read();
  const looked = observer.overview().sample;
  observer.lookNow();
  // The next one may have been under way already.
  await until(() => observer.overview().sample > looked + 1, 'another look');
  const seen = theConnection()!;
  const after = read();
  expect(seen.receivedBytes).toBeGreaterThanOrEqual(before.info.bytesReceived!);
  expect(seen.receivedBytes).toBeLessThanOrEqual(after.info.bytesReceived!);
  for (const [index, subflow] of seen.subflows.entries()) {
    expect(subflow.receivedBytes).toBeGreaterThanOrEqual(before.subflows[index]!.tcp.bytesReceived!);
    expect(subflow.receivedBytes).toBeLessThanOrEqual(after.subflows[index]!.tcp.bytesReceived!);
  }
  // All of it went over paths that were watched from the beginning.
  const paths = observer.overview().paths.reduce((sum, path) => sum + path.receivedBytes, 0);
  expect(paths).toBe(seen.subflows.reduce((sum, { receivedBytes = 0 }) => sum + receivedBytes, 0));
  expect(pathOf('wifi0')!.sentSegments).toBeGreaterThan(0);
  expect(pathOf('wifi0')!.rttUs).toBeGreaterThan(5000);
  const texts = observer.recentEvents().events.map(({ event, kind }) => `${kind} ${event}`);
  expect(texts).toContain('mptcp subflow-established');
});

it('sees a path that is cut without a word, and sees it come back', async () => {
  await beginOnBoth();
  lab.uplink(1).cut();
  await until(() => pathOf('lte0')?.state === 'stale', 'the cut path to be stale');
  expect(pathOf('lte0')!.why).toMatch(/silent|not acknowledged/);
  expect(subflowOn('lte0')).toMatchObject({ state: 'stale' });
  // It is there, and carries nothing.
  expect(observer.overview().totals).toMatchObject({ subflows: 2, severalPaths: 0 });
  await until(() => pathOf('wifi0')?.state === 'active', 'the other path to go on');
  lab.uplink(1).restore();
  await until(() => pathOf('lte0')?.state === 'active', 'the path to be back');
  // A machine that stalls may show more than that.
  const told = observer
    .recentEvents()
    .events.filter(({ fields, kind }) => kind === 'path' && fields['link'] === 'lte0');
  expect(told[0]).toMatchObject({ event: 'stale', fields: { before: 'active' } });
  expect(told.at(-1)).toMatchObject({
    event: 'active',
    text: `path lte0 ${lab.uplink(1).address} is active`,
  });
  const marks = observer.history({ minutes: 5 }).marks.filter(({ path }) => path.startsWith('lte0 '));
  expect(marks.map(({ state }) => state)).toEqual(told.map(({ event }) => event));
});

it('sees a cable pulled and plugged in again, and endpoints and limits that others change', async () => {
  observer.onSample(() => {});
  lab.uplink(0).unplug();
  await until(() => pathOf('wifi0')?.state === 'down', 'the path to be down');
  expect(pathOf('wifi0')!.why).toMatch(/no carrier/);
  expect(observer.overview().links.find(({ link }) => link === 'wifi0')).toMatchObject({ up: false });
  lab.uplink(0).plug();
  await until(() => pathOf('wifi0')?.state === 'active', 'the path to be back');
  const manager = PathManager.open({ netns: lab.node('client').path });
  manager.setLimits({ addAddrAccepted: 3 });
  manager.addEndpoint({ address: '198.51.100.77', flags: 2 });
  manager.close();
  supervisor.lookNow();
  const kinds = () => observer.recentEvents().events.map(({ event, kind }) => `${kind} ${event}`);
  await until(() => kinds().includes('limits changed') && kinds().includes('endpoint added'), 'both events');
  expect(kinds()).toEqual(
    expect.arrayContaining(['network link-down', 'network link-up', 'path down', 'path active']),
  );
});

it('makes an interval of the past out of its looks', async () => {
  await beginOnBoth();
  const values = () => {
    const [path] = observer.history({ minutes: 1 }).paths;
    return (path?.receivedBitsPerSecond ?? []).filter((value) => value !== null && value > 0);
  };
  await until(() => values().length >= 2, 'two seconds of history');
  const { stepS, times } = observer.history({ minutes: 1 });
  expect([stepS, times.length]).toEqual([1, 60]);
});

it('leaves no descriptor open', async () => {
  // Sockets are all that it opens; the lab's threads open other things, when they get round to it.
  const isSocket = (name: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:');
    } catch {
      return false;
    }
  };
  const open = () => readdirSync('/proc/self/fd').filter(isSocket).length;
  const startAndStop = async () => {
    const others = Array.from(
      { length: 8 },
      () => new Observer({ sources: sources(), logger: silentLogger, netns: lab.node('client').path }),
    );
    await Promise.all(others.map((other) => other.start()));
    const most = open();
    await Promise.all(others.map((other) => other.stop()));
    return most;
  };
  // What is opened once for the whole process is open then.
  await startAndStop();
  const before = open();
  expect(await startAndStop()).toBeGreaterThan(before + 8);
  await until(() => open() <= before, 'all descriptors to be closed');
});
