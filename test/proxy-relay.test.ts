/**
 * The relay thread by itself, with descriptors made here: what happens when its program fails, when the kernel
 * refuses, and that splice and copy carry the same bytes in every size.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { duplicateFd } from '../src/native/index.ts';
import { RelayThread, type TunnelEnd } from '../src/proxy/relay/relay-thread.ts';
import type { RelayOptions } from '../src/proxy/relay/protocol.ts';
import {
  cleanUp,
  connectTo,
  onCleanup,
  readAll,
  startTcpServer,
  until,
  whatIsOpen,
} from './proxy-support.ts';

afterEach(cleanUp);

const OPTIONS: RelayOptions = {
  idleTimeoutMs: 0,
  halfClosedIdleTimeoutMs: 0,
  heldBytesSoftLimit: 64 << 20,
  maxPipes: 16,
};

interface Started {
  readonly thread: RelayThread;
  readonly ends: TunnelEnd[];
  readonly failures: string[];
}

async function startThread(options: Partial<RelayOptions> = {}): Promise<Started> {
  const ends: TunnelEnd[] = [];
  const failures: string[] = [];
  const thread = new RelayThread(
    { ...OPTIONS, ...options },
    { onClosed: (end) => ends.push(end), onFailure: (error) => failures.push(error.message) },
  );
  onCleanup(() => thread.stop());
  await thread.ready;
  return { thread, ends, failures };
}

/** A connection's two ends: one as a socket, one as a descriptor for the relay. */
async function pair(): Promise<{ readonly socket: Socket; readonly fd: number }> {
  let accept: (socket: Socket) => void = () => {};
  const accepted = new Promise<Socket>((resolve) => {
    accept = resolve;
  });
  const socket = await connectTo(await startTcpServer((other) => accept(other)));
  const other = await accepted;
  const fd = duplicateFd((other as unknown as { _handle: { fd: number } })._handle.fd);
  other.destroy();
  return { socket, fd };
}

async function openOne(thread: RelayThread, id: number, splice: boolean) {
  const [client, upstream] = [await pair(), await pair()];
  thread.open({ id, clientFd: client.fd, upstreamFd: upstream.fd, splice, toUpstream: undefined });
  return { client: client.socket, upstream: upstream.socket };
}

describe('bytes', () => {
  const BLOCK = randomBytes(3 << 20);

  it.each([
    ['splice', { splice: true }, {}],
    ['copy', { splice: false }, {}],
    ['splice without pipes', { splice: true }, { maxPipes: 0 }],
    ['small reads, when much is held', { splice: true }, { heldBytesSoftLimit: -1 }],
  ])('arrive whole by %s, whatever the sizes of writes and reads', async (_name, { splice }, options) => {
    const { thread, ends } = await startThread(options);
    const { client, upstream } = await openOne(thread, 1, splice);
    const sent = createHash('sha256');
    const total = { bytes: 0 };
    const got = createHash('sha256');
    upstream.on('data', (chunk: Buffer) => {
      got.update(chunk);
      // A reader that stops now and then: the relay stalls and goes on.
      upstream.pause();
      setImmediate(() => upstream.resume());
    });
    const ended = new Promise((resolve) => upstream.once('end', resolve));
    for (let size = 1; size <= BLOCK.length; size = Math.ceil(size * 1.7)) {
      const chunk = BLOCK.subarray(0, size);
      sent.update(chunk);
      total.bytes += size;
      if (!client.write(chunk)) await new Promise((resolve) => client.once('drain', resolve));
    }
    client.end();
    await ended;
    expect(got.digest('hex')).toBe(sent.digest('hex'));
    expect(thread.bytesOf(1)).toEqual({ up: total.bytes, down: 0 });
    upstream.end();
    await until(() => ends.length === 1, 'the tunnel to close');
    expect(ends).toEqual([{ id: 1, reason: 'finished', errno: 0, bytesUp: total.bytes, bytesDown: 0 }]);
  });
});

describe('a tunnel', () => {
  it('can be aborted alone', async () => {
    const { thread, ends } = await startThread();
    const first = await openOne(thread, 1, true);
    const second = await openOne(thread, 2, true);
    const failed = new Promise((resolve) => first.client.once('error', resolve));
    first.client.resume();
    thread.abort(1);
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
    await until(() => ends.length === 1, 'the end');
    expect(ends).toMatchObject([{ id: 1, reason: 'aborted' }]);
    second.client.end('still here');
    expect(await readAll(second.upstream)).toBe('still here');
  });

  it('that the kernel refuses is closed and told', async () => {
    const { thread, ends, failures } = await startThread();
    const one = await pair();
    thread.open({ id: 5, clientFd: one.fd, upstreamFd: 1_000_000, splice: true, toUpstream: undefined });
    await until(() => ends.length === 1, 'the end');
    expect(ends).toMatchObject([{ id: 5, reason: 'no-resources', errno: 9 }]);
    expect(failures).toEqual([]);
    one.socket.resume();
    await until(() => one.socket.destroyed, 'the other end to see the reset');
  });
});

it('a program that fails closes everything it had, and tells', async () => {
  const before = await pair();
  const { thread, ends, failures } = await startThread();
  const opened = whatIsOpen();
  const first = await openOne(thread, 1, true);
  const second = await openOne(thread, 2, true);
  const failed = Promise.all(
    [first.client, second.upstream].map((socket) => new Promise((resolve) => socket.once('error', resolve))),
  );
  first.client.resume();
  second.upstream.resume();
  const bad = await pair();
  // What no caller that the compiler has seen would give: the thread's program throws at it.
  thread.open({ id: 3, clientFd: bad.fd, upstreamFd: before.fd, splice: true, toUpstream: null as never });
  await until(() => ends.length === 3, 'the ends');
  expect(failures).toHaveLength(1);
  expect(ends.sort((a, b) => a.id - b.id).map(({ id, reason }) => [id, reason])).toEqual([
    [1, 'aborted'],
    [2, 'aborted'],
    [3, 'relay-failed'],
  ]);
  expect(await failed).toHaveLength(2);
  bad.socket.resume();
  before.socket.resume();
  await until(
    () => bad.socket.readableEnded && before.socket.readableEnded,
    'what it never took to be closed',
  );
  await until(() => whatIsOpen().threads < opened.threads, 'the thread to end');
});
