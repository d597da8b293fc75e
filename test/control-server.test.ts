/** The control socket by itself, with calls and events made up here: time limits, and what a feed costs its source. */
import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import type { FeedEvent } from '../src/service/control-event-feed.ts';
import type { ControlFace } from '../src/service/control-face.ts';
import { ControlServer } from '../src/service/control-server.ts';
import { StreamReader } from './support/daemon-control.ts';

const SOON = { interval: 5, timeout: 20_000 };
const TIMEOUT_MS = 50;

interface Api {
  status(): Promise<string>;
}

const FACE: ControlFace<Api> = {
  file: 'test',
  name: 'the test',
  absent: 'the test is not running',
  startHint: 'start it',
  askCommand: 'test',
  calls: { status: { method: 'GET', path: '/v1/status' } },
  stream: { path: '/v1/events', kinds: ['a', 'b'] },
};

let folder: string;
let server: ControlServer;
const listeners = new Set<(event: FeedEvent) => void>();

const tell = (kind: string) => {
  for (const listener of listeners) listener({ time: 0, kind });
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weft-control-'));
  server = await ControlServer.listen<Api>({
    face: FACE,
    api: { status: () => Promise.resolve('fine') },
    source: {
      watch: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    folder,
    netnsInode: 1,
    logger: silentLogger,
    requestTimeoutMs: TIMEOUT_MS,
  });
});

afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** Resolves when the server has had enough of a client that says `words` and no more. */
async function untilHungUp(words: string): Promise<void> {
  const socket: Socket = connect(server.socketPath);
  socket.on('error', () => {});
  socket.resume();
  socket.write(words);
  await once(socket, 'close');
}

it('a client that is silent is hung up on; a stream may be silent for as long as it is', async () => {
  const reader = await StreamReader.open(server.socketPath);
  await untilHungUp('');
  await untilHungUp('GET /v1/status HTTP/1.1\r\nHost: x\r\n');
  await untilHungUp('GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n');
  expect(reader.ended).toBe(false);
  tell('a');
  await expect.poll(() => reader.events.length, SOON).toBe(2);
  reader.close();
});

it('listens to its source only while somebody reads', async () => {
  expect(listeners.size).toBe(0);
  const [first, second] = [
    await StreamReader.open(server.socketPath),
    await StreamReader.open(server.socketPath, '?kind=b'),
  ];
  expect(listeners.size).toBe(1);
  for (const kind of ['a', 'b']) tell(kind);
  const kinds = (reader: StreamReader) => reader.events.map((event) => (event as FeedEvent).kind);
  await expect.poll(() => kinds(first), SOON).toEqual(['listening', 'a', 'b']);
  await expect.poll(() => kinds(second), SOON).toEqual(['b']);
  first.close();
  tell('b');
  await expect.poll(() => kinds(second), SOON).toEqual(['b', 'b']);
  expect(listeners.size).toBe(1);
  second.close();
  await expect.poll(() => listeners.size, SOON).toBe(0);
});
