/**
 * What a running `weft up` and a daemon let be seen of the host, over their control sockets: the calls, the live
 * stream, metrics, and what those are told who ask for what there is not.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Lab, LabNode } from '../src/lab/index.ts';
import type {
  ConnectionDetail,
  ConnectionPage,
  History,
  RecentEvents,
  WhyReport,
} from '../src/service/index.ts';
import { THROUGH_TUNNEL } from './support/download.ts';
import { LiveReader, ObservedNode, startObservedDaemon } from './support/observed.ts';
import { useTestLabs } from './support/test-labs.ts';
import { runWeft, startWeft, weftCommand } from './support/weft-program.ts';

const ENDLESS_BYTES = 1e12;
const SOON = { interval: 20, timeout: 20_000 };

const { buildLab, closers, startDownload } = useTestLabs('observe', { links: { rateBps: 50e6, delayMs: 5 } });

/** A client whose Weft runs, with a download over both uplinks. */
async function busyClient(): Promise<{ lab: Lab; client: LabNode; observed: ObservedNode }> {
  const lab = await buildLab();
  const client = lab.node('client');
  await startWeft(client);
  startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
  const observed = new ObservedNode(client);
  await expect
    .poll(
      async () => (await observed.overview()).paths.filter(({ receivedBytes }) => receivedBytes > 0).length,
      SOON,
    )
    .toBe(2);
  return { lab, client, observed };
}

it('shows the host, its connections and each one of them', async () => {
  const { observed } = await busyClient();
  const overview = await observed.overview();
  expect(overview).toMatchObject({ apiVersion: 1, program: 'up', mode: 'multipath', mayChange: true });
  expect(
    overview.paths
      .filter(({ family }) => family === 4)
      .map(({ id }) => id)
      .sort(),
  ).toEqual(['lte0 10.2.0.2', 'wifi0 10.1.0.2']);
  const page = await observed.get<ConnectionPage>('/v1/connections?search=203.0.113.10&sort=bytes&limit=1');
  expect(page).toMatchObject({ found: 1 });
  const [row] = page.rows;
  expect(row).toMatchObject({ owner: 'proxy', target: '203.0.113.10:80', protocol: 'mptcp', remotePort: 80 });
  const detail = await observed.get<ConnectionDetail>(`/v1/connection?id=${row!.id}`);
  expect(detail.subflows.map(({ localAddress }) => localAddress).sort()).toEqual(['10.1.0.2', '10.2.0.2']);
  const history = await observed.get<History>('/v1/history?minutes=1');
  expect(history.times.length).toBeGreaterThan(0);
  const why = await observed.get<WhyReport>(`/v1/why?connection=${row!.id}`);
  expect(why.summary).not.toBe('');
  expect((await observed.get<WhyReport>('/v1/why')).findings).toEqual(expect.any(Array));
});

it('tells live, as lines and as server-sent events, what a cut does', async () => {
  const { lab, observed } = await busyClient();
  const lines = await LiveReader.open(observed.socketPath);
  const browser = await LiveReader.open(observed.socketPath, 'text/event-stream');
  closers.push(
    () => lines.close(),
    () => browser.close(),
  );
  expect([lines.type, browser.type]).toEqual(['application/x-ndjson', 'text/event-stream']);
  for (const reader of [lines, browser]) {
    await expect.poll(() => reader.of('overview').length, SOON).toBeGreaterThan(1);
  }
  lab.uplink(1).unplug();
  const down = (reader: LiveReader) =>
    reader
      .of('overview')
      .at(-1)
      ?.paths.find(({ link }) => link === 'lte0')?.state;
  for (const reader of [lines, browser]) {
    await expect.poll(() => down(reader) ?? 'down', SOON).toBe('down');
    await expect.poll(() => reader.of('event').some(({ kind }) => kind === 'path'), SOON).toBe(true);
  }
  const { events } = await observed.get<RecentEvents>('/v1/recent-events');
  expect(events.some(({ kind, text }) => kind === 'path' && text.includes('lte0'))).toBe(true);
});

it('readers come and go, and leave nothing', async () => {
  const lab = await buildLab();
  const client = lab.node('client');
  const { process: child } = await startWeft(client);
  const observed = new ObservedNode(client);
  const descriptors = () => readdirSync(`/proc/${child.pid}/fd`).length;
  // What begins when it is ready has begun then.
  for (const call of ['/v1/overview', '/v1/web']) await observed.ask(call);
  const readers = await Promise.all(Array.from({ length: 8 }, () => LiveReader.open(observed.socketPath)));
  await expect.poll(() => readers.every((reader) => reader.of('overview').length > 0), SOON).toBe(true);
  for (const reader of readers) reader.close();
  await expect.poll(descriptors, SOON).toBeGreaterThan(0);
  let settled = descriptors();
  await expect
    .poll(() => {
      const now = descriptors();
      const same = now === settled;
      settled = now;
      return same;
    }, SOON)
    .toBe(true);
  for (let round = 0; round < 5; round++) {
    const more = await Promise.all(Array.from({ length: 8 }, () => LiveReader.open(observed.socketPath)));
    for (const reader of more.slice(0, 4)) reader.pause();
    for (const reader of more) reader.close();
  }
  await expect.poll(descriptors, SOON).toBeLessThanOrEqual(settled);
});

it('says what is wrong with a question', async () => {
  const lab = await buildLab();
  await startWeft(lab.node('client'));
  const observed = new ObservedNode(lab.node('client'));
  const cases = [
    ['/v1/history?minutes=0', 400, 'BAD_ARGUMENT'],
    ['/v1/connections?sort=nothing', 400, 'BAD_ARGUMENT'],
    ['/v1/overview?x=1', 400, 'BAD_ARGUMENT'],
    ['/v1/live?x=1', 400, 'BAD_ARGUMENT'],
    ['/v1/connection?id=mffffffff', 404, 'NO_SUCH_CONNECTION'],
    ['/v1/why?connection=nobody.example', 404, 'NO_SUCH_CONNECTION'],
    ['/v1/nothing', 404, 'NO_SUCH_CALL'],
  ] as const;
  for (const [path, status, code] of cases) {
    expect(await observed.ask(path), path).toMatchObject({ status, body: { code } });
  }
});

it('serves metrics, and weft events', async () => {
  const { client, lab } = await busyClient();
  const metrics = await client.run([
    'curl',
    '-sS',
    '--unix-socket',
    new ObservedNode(client).socketPath,
    '-D',
    '-',
    'http://localhost/metrics',
  ]);
  expect(metrics.stdout).toMatch(/^content-type: application\/openmetrics-text/im);
  expect(metrics.stdout).toMatch(/^weft_path_received_bytes_total\{[^}]*link="lte0"[^}]*\} \d+/m);
  expect(metrics.stdout).toMatch(/# EOF\n$/);
  const events = client.run(weftCommand('events', '--kind', 'listening,path', '--count', '1'));
  // Its reader is there when it has said so; until then the cut might come too early, so it is repeated.
  let isEnded = false;
  void events.finally(() => (isEnded = true));
  await expect
    .poll(
      () => {
        lab.uplink(1).unplug();
        lab.uplink(1).plug();
        return isEnded;
      },
      { interval: 1000, timeout: 20_000 },
    )
    .toBe(true);
  const { code, stdout } = await events;
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\{"time":\d+,"kind":"listening"\}\n/);
  expect(stdout).toMatch(/"kind":"path".*lte0/);
});

it('the daemon lets the same be seen', async () => {
  const lab = await buildLab();
  const client = lab.node('client');
  const observed = await startObservedDaemon(client, closers);
  await expect.poll(async () => (await observed.overview()).endpoints.length, SOON).toBeGreaterThan(1);
  const overview = await observed.overview();
  expect(overview).toMatchObject({ program: 'daemon', mayChange: true });
  expect(overview.endpoints.every(({ ours }) => ours)).toBe(true);
  expect(overview.paths.map(({ link }) => link)).toEqual(expect.arrayContaining(['wifi0', 'lte0']));
  const reader = await LiveReader.open(observed.socketPath);
  closers.push(() => reader.close());
  await expect.poll(() => reader.of('overview').length, SOON).toBeGreaterThan(1);
  expect((await runWeft(client, 'daemon', 'status')).code).toBe(0);
});
