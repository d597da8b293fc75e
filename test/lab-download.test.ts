/**
 * The main job, in the lab: `weft up` in a client with two uplinks, downloads through its proxy, and what may
 * happen to an uplink in the middle of one.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  contentSha256,
  diffSnapshots,
  Lab,
  PROXY,
  runDemo,
  takeSnapshot,
  transfer,
  WeftProcess,
  type Snapshot,
  type TransferResult,
  type Uplink,
} from '../src/lab/index.ts';

const command = [process.execPath, join(import.meta.dirname, '..', 'dist', 'bin', 'weft.js')];

let outside: Snapshot;
beforeAll(() => {
  outside = takeSnapshot();
});
afterAll(() => {
  expect(diffSnapshots(outside, takeSnapshot())).toEqual([]);
});

it('gets at least 1.85 times one path over both, and survives the cut of one', async () => {
  const summary = await runDemo({
    rateBps: [100e6, 100e6],
    delayMs: [10, 10],
    seconds: 4,
    cut: true,
    weft: command,
  });
  const { singleBps, bothBps, ratio, stallMs, cutBps } = summary;
  console.log(
    `one path ${(singleBps / 1e6).toFixed(1)} Mbit/s, both ${(bothBps / 1e6).toFixed(1)} Mbit/s (${ratio.toFixed(2)} times), stall at the cut ${stallMs?.toFixed(0)} ms`,
  );
  expect(summary.intact).toBe(true);
  expect(ratio).toBeGreaterThanOrEqual(1.85);
  // While one is cut the other carries what it can: not less than a half of one path, retransmissions included.
  expect(cutBps! / singleBps).toBeGreaterThan(0.5);
});

describe('mobility', () => {
  const TOTAL_BYTES = 16_000_000;
  const SEED = 3;
  let lab: Lab;
  let weft: WeftProcess;
  let clientBefore: Snapshot;
  let digest: string;

  const client = () => takeSnapshot({ netns: lab.node('client').path });

  beforeAll(() => {
    digest = contentSha256(TOTAL_BYTES, SEED);
  });
  beforeEach(async () => {
    lab = await Lab.twoUplinks({ rateBps: 20e6, delayMs: 5 });
    clientBefore = client();
    weft = await WeftProcess.start(lab, { command });
  });
  afterEach(async () => {
    const log = weft.log.join('\n');
    const code = await weft.stop();
    const after = client();
    await lab.close();
    expect(code, log).toBe(0);
    // The uplinks are as they were, so nothing that Weft made may be there.
    expect(diffSnapshots(clientBefore, after), log).toEqual([]);
  });

  function download(address: string): Promise<TransferResult> {
    return transfer({
      node: lab.node('client'),
      address,
      path: `/bytes/${TOTAL_BYTES}?seed=${SEED}`,
      proxy: PROXY,
    });
  }

  /** Resolves when the uplink has carried this much more than now; rejects when the download ended before. */
  async function carries(uplink: Uplink, running: Promise<TransferResult>): Promise<void> {
    const from = uplink.received.bytes;
    let ended = false;
    const note = () => {
      ended = true;
    };
    running.then(note, note);
    while (uplink.received.bytes < from + 300_000) {
      if (ended) {
        await running;
        throw new Error(`the download ended, and ${uplink.name} had not carried it\n${weft.log.join('\n')}`);
      }
      await sleep(5);
    }
  }

  async function expectIntact(running: Promise<TransferResult>): Promise<void> {
    expect(await running).toEqual({ bytes: TOTAL_BYTES, sha256: digest });
  }

  it('both uplinks carry a download, over IPv4 and over IPv6', async () => {
    for (const address of [lab.serverAddress, lab.serverAddress6]) {
      const running = download(address);
      await Promise.all(lab.uplinks.map((uplink) => carries(uplink, running)));
      await expectIntact(running);
    }
  });

  it.each([0, 1])('the address of uplink %i is removed and another one added', async (index) => {
    const uplink = lab.uplink(index);
    const running = download(lab.serverAddress);
    await Promise.all(lab.uplinks.map((each) => carries(each, running)));
    uplink.changeAddresses(77);
    await carries(uplink, running);
    await expectIntact(running);
    uplink.changeAddresses(2);
  });

  it.each([0, 1])('uplink %i goes down and comes up again', async (index) => {
    const uplink = lab.uplink(index);
    const running = download(lab.serverAddress);
    await Promise.all(lab.uplinks.map((each) => carries(each, running)));
    uplink.down();
    await carries(lab.uplink(1 - index), running);
    uplink.up();
    await carries(uplink, running);
    await expectIntact(running);
  });

  it.each([0, 1])('uplink %i loses its carrier and gets it back', async (index) => {
    const uplink = lab.uplink(index);
    const running = download(lab.serverAddress);
    await Promise.all(lab.uplinks.map((each) => carries(each, running)));
    uplink.unplug();
    await carries(lab.uplink(1 - index), running);
    uplink.plug();
    await carries(uplink, running);
    await expectIntact(running);
  });

  it('the route of uplink 1 comes late', async () => {
    const uplink = lab.uplink(1);
    uplink.removeAddresses();
    const running = download(lab.serverAddress);
    await carries(lab.uplink(0), running);
    uplink.addAddresses();
    await carries(lab.uplink(0), running);
    expect(uplink.received.bytes).toBeLessThan(100_000);
    uplink.addRoutes();
    await carries(uplink, running);
    await expectIntact(running);
  });
});
