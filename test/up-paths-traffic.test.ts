/**
 * The supervisor in the lab: what it makes carries traffic, and the loss of a path is the loss of nothing else.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import { contentSha256, diffSnapshots, Lab, takeSnapshot } from '../src/lab/index.ts';
import { connectFd, listConnections } from '../src/mptcp/index.ts';
import { Supervisor } from '../src/service/supervisor.ts';
import { until } from './support/up-host.ts';

const RATE_BPS = 50e6;

let lab: Lab;
let supervisor: Supervisor;
let stateFolder: string;

beforeEach(async () => {
  lab = await Lab.twoUplinks({ rateBps: RATE_BPS, delayMs: 5 });
  stateFolder = mkdtempSync('/run/weft-up-test-');
  supervisor = new Supervisor({ logger: silentLogger, netns: lab.node('client').path, stateFolder });
});

afterEach(async () => {
  await supervisor.stop();
  await lab.close();
  rmSync(stateFolder, { recursive: true, force: true });
});

interface Download {
  readonly sha256: string;
  readonly bytes: number;
}

/** An MPTCP connection of the client without any choice of address, as a program would make it. */
async function download(
  totalBytes: number,
  seed: number,
  family: 4 | 6,
  onBytes: (bytes: number) => void = () => {},
): Promise<Download> {
  const address = family === 4 ? lab.serverAddress : lab.serverAddress6;
  // The socket is opened within the call, before anything is awaited.
  const connecting = lab.node('client').inside(() => connectFd({ address, port: 80, timeoutMs: 10_000 }));
  const { fd, protocol } = await connecting;
  expect(protocol).toBe('mptcp');
  const socket = new Socket({ fd });
  const asked = get({ createConnection: () => socket, path: `/bytes/${totalBytes}?seed=${seed}` });
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(bytes);
  }
  socket.destroy();
  return { sha256: hash.digest('hex'), bytes };
}

const received = () => lab.uplinks.map((uplink) => uplink.received.bytes);

const subflows = () =>
  listConnections({ netns: lab.node('client').path }).flatMap((connection) => connection.subflows.length);

describe('a download', () => {
  it.each([4, 6] as const)(
    'over IPv%i is carried by both uplinks, and by one without Weft',
    async (family) => {
      const totalBytes = 8_000_000;
      const expected = { bytes: totalBytes, sha256: contentSha256(totalBytes, 3) };
      expect(await download(totalBytes, 3, family)).toEqual(expected);
      const [first = 0, second = 0] = received();
      expect(first).toBeGreaterThan(totalBytes);
      expect(second).toBeLessThan(100_000);

      await supervisor.start();
      expect(await download(totalBytes, 3, family)).toEqual(expected);
      const carried = received().map((bytes, index) => bytes - (index === 0 ? first : second));
      // Equal uplinks; a third for the lesser one leaves room for the start and for the scheduler's taste.
      expect(Math.min(...carried)).toBeGreaterThan(totalBytes / 3);
    },
  );

  it.each([
    [0, 'unplug'],
    [1, 'unplug'],
    [0, 'down'],
    [0, 'removeAddresses'],
    [1, 'removeAddresses'],
  ] as const)('survives, intact, when uplink %i is lost by %s', async (index, fault) => {
    const totalBytes = 8_000_000;
    await supervisor.start();
    let lost = false;
    const result = await download(totalBytes, 9, 4, (bytes) => {
      if (lost || bytes < totalBytes / 4) return;
      lost = true;
      lab.uplink(index)[fault]();
    });
    expect(lost).toBe(true);
    expect(result).toEqual({ bytes: totalBytes, sha256: contentSha256(totalBytes, 9) });
    expect(supervisor.status().endpoints).toHaveLength(2);
  });

  it('uses a path that comes back, without a new connection', async () => {
    await supervisor.start();
    const totalBytes = 24_000_000;
    let stage = 0;
    let before = 0;
    const downloading = download(totalBytes, 5, 4, (bytes) => {
      if (stage === 0 && bytes > 2_000_000) {
        stage = 1;
        lab.uplink(1).unplug();
      }
      if (stage === 1 && supervisor.status().endpoints.length === 2) {
        stage = 2;
        before = lab.uplink(1).received.bytes;
        lab.uplink(1).plug();
      }
    });
    expect(await downloading).toEqual({ bytes: totalBytes, sha256: contentSha256(totalBytes, 5) });
    expect(stage).toBe(2);
    expect(lab.uplink(1).received.bytes - before).toBeGreaterThan(1_000_000);
  });

  it('works with strict reverse path filters, without which Weft’s rules it would not', async () => {
    const client = lab.node('client');
    for (const name of ['all', 'wifi0', 'lte0']) client.setSysctl(`ipv4/conf/${name}/rp_filter`, 1);
    const fromSecond = () =>
      client.inside(() =>
        connectFd({
          address: lab.serverAddress,
          port: 80,
          localAddress: lab.uplink(1).address,
          timeoutMs: 1000,
        }),
      );
    await expect(fromSecond()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await supervisor.start();
    const { fd } = await fromSecond();
    new Socket({ fd }).destroy();
    const totalBytes = 4_000_000;
    const [, before = 0] = received();
    expect((await download(totalBytes, 1, 4)).sha256).toBe(contentSha256(totalBytes, 1));
    expect((received()[1] ?? 0) - before).toBeGreaterThan(totalBytes / 4);
  });

  it('leaves no trace on the client', async () => {
    const look = () => takeSnapshot({ netns: lab.node('client').path });
    const before = look();
    await supervisor.start();
    await download(1_000_000, 1, 4);
    await until(() => subflows().length === 0, 'the connection to end');
    await supervisor.stop();
    expect(diffSnapshots(before, look())).toEqual([]);
  });
});
