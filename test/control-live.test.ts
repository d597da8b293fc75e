/** The live feed by itself, with a source made up here: what a reader that stands still costs, and what it is told. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LiveFeed } from '../src/service/observe/live-feed.ts';
import type { ObservedEvent, Overview } from '../src/service/index.ts';
import { LiveReader } from './support/observed.ts';

const SOON = { interval: 5, timeout: 20_000 };
/** More than sockets hold. */
const OVERVIEW_LENGTH = 1 << 20;

let folder: string;
let server: Server;
let feed: LiveFeed;
let sample = 0;
const samples = new Set<() => void>();
const events = new Set<(event: ObservedEvent) => void>();
const pending = new Set<() => number>();

function add<T>(set: Set<T>, item: T): () => void {
  set.add(item);
  return () => void set.delete(item);
}

const look = () => {
  sample++;
  for (const listener of samples) listener();
};

const tell = (text: string) => {
  for (const listener of events) listener({ time: 0, kind: 'service', event: 'test', text, fields: {} });
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weft-live-'));
  sample = 0;
  const hostname = 'x'.repeat(OVERVIEW_LENGTH);
  feed = new LiveFeed({
    overview: () => ({ sample, hostname }) as Overview,
    onSample: (listener) => add(samples, listener),
    watch: (listener) => add(events, listener),
  });
  server = createServer((request, response) => {
    pending.add(() => response.writableLength);
    try {
      feed.open(request, response);
    } catch {
      response.writeHead(503).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
});

afterEach(async () => {
  feed.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
  pending.clear();
});

const open = (accept?: string) => LiveReader.open(join(folder, 's'), accept);
const lastSample = (reader: LiveReader) => reader.of('overview').at(-1)?.sample;

it('listens to its source only while somebody reads', async () => {
  expect([samples.size, events.size]).toEqual([0, 0]);
  const [first, second] = [await open(), await open('text/event-stream')];
  expect([samples.size, events.size, feed.readers]).toEqual([1, 1, 2]);
  first.close();
  await expect.poll(() => feed.readers, SOON).toBe(1);
  expect(samples.size).toBe(1);
  second.close();
  await expect.poll(() => [samples.size, events.size], SOON).toEqual([0, 0]);
});

it.each(['application/json', 'text/event-stream'])(
  'a reader of %s that stands still skips overviews, is told how many events it missed, and costs little',
  async (accept) => {
    const [slow, quick] = [await open(accept), await open(accept)];
    await expect.poll(() => [lastSample(slow), lastSample(quick)], SOON).toEqual([0, 0]);
    slow.pause();
    for (let round = 1; round <= 30; round++) {
      look();
      for (let n = 0; n < 100; n++) tell('y'.repeat(1000));
      await expect.poll(() => lastSample(quick), SOON).toBe(round);
      await expect.poll(() => quick.of('event').length, SOON).toBe(100 * round);
    }
    // What waits in the process: one write of everything that may wait, which was more than the sockets took.
    for (const length of pending) expect(length()).toBeLessThan(4 * OVERVIEW_LENGTH);
    slow.resume();
    await expect.poll(() => lastSample(slow), SOON).toBe(30);
    const counted = () =>
      slow.of('event').length + slow.of('lost').reduce((sum, { count }) => sum + count, 0);
    await expect.poll(counted, SOON).toBe(3000);
    expect(slow.of('lost').length).toBeGreaterThan(0);
    expect(slow.of('overview').length).toBeLessThan(20);
    expect(quick.of('lost')).toEqual([]);
  },
);

it('has room for so many readers, and again when one leaves; its end is theirs', async () => {
  const readers: LiveReader[] = [];
  for (let n = 0; n < 32; n++) readers.push(await open());
  await expect(open()).rejects.toThrow('HTTP 503');
  readers.shift()!.close();
  await expect.poll(() => feed.readers, SOON).toBe(31);
  readers.push(await open());
  feed.close();
  await expect.poll(() => readers.every(({ ended }) => ended), SOON).toBe(true);
  await expect(open()).rejects.toThrow('HTTP 503');
});
