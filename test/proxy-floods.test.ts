/**
 * Clients that send much, slowly, or nothing at the wrong time, in every protocol of the proxy's port: what the proxy
 * takes and holds for them is bounded, and others are served meanwhile.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, type ProxyPolicy } from '../src/proxy/index.ts';
import { hashPassword } from '../src/proxy/users-verifier.ts';
import {
  cleanUp,
  connectTo,
  onCleanup,
  openTunnel,
  readUntil,
  startProxy,
  startTcpServer,
  until,
} from './proxy-support.ts';

afterEach(cleanUp);

/** More than the kernel's buffers of a connection take, with room for all of them. */
const FLOOD_MIB = 256;
const MOST_TAKEN_MIB = 48;
const MEBIBYTE = Buffer.alloc(1 << 20, 0x41);

async function connectClient(port: number): Promise<Socket> {
  const socket = await connectTo(port);
  onCleanup(() => void socket.destroy());
  return socket;
}

/** Offers the flood, and gives back how to learn what of it has been taken, in MiB. */
function flood(socket: Socket): () => number {
  for (let i = 0; i < FLOOD_MIB; i++) socket.write(MEBIBYTE);
  return () => FLOOD_MIB - socket.writableLength / MEBIBYTE.length;
}

describe('what a client sends ahead of its tunnel', () => {
  it('stays where it is while its password is checked', async () => {
    const password = await hashPassword('right');
    const policy: ProxyPolicy = { ...DEFAULT_POLICY, users: new Map([['ann', { password }]]) };
    const proxy = await startProxy({}, { policy });
    // Passwords are checked one after another: these come first.
    const guessers = await Promise.all(
      Array.from({ length: 9 }, async (_, i) => {
        const socket = await connectClient(proxy.port);
        socket.write(
          Buffer.concat([Buffer.from([5, 1, 2, 1, 3]), Buffer.from('bob'), Buffer.from([1, 65 + i])]),
        );
        return readUntil(socket, (text) => text.length >= 4);
      }),
    ).then((verdicts) => verdicts.map((text) => Buffer.from(text, 'latin1').toString('hex')));
    expect(new Set(guessers)).toEqual(new Set(['05020101']));
    const many = Array.from({ length: 20 }, async (_, i) => {
      const socket = await connectClient(proxy.port);
      const user = Buffer.from(`user${String.fromCharCode(65 + i)}`);
      socket.write(Buffer.concat([Buffer.from([5, 1, 2, 1, user.length]), user, Buffer.from([1, 65])]));
      await readUntil(socket, (text) => text.length >= 4);
    });
    const socket = await connectClient(proxy.port);
    socket.write(
      Buffer.concat([
        Buffer.from([5, 1, 2, 1, 3]),
        Buffer.from('ann'),
        Buffer.from([5]),
        Buffer.from('right'),
      ]),
    );
    const taken = flood(socket);
    await readUntil(socket, (text) => text.length >= 4);
    expect(taken()).toBeLessThan(MOST_TAKEN_MIB);
    await Promise.all(many);
  });

  it.each([
    ['CONNECT', (port: number) => Buffer.from(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: a\r\n\r\n`)],
    ['SOCKS5', (port: number) => Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255])],
    ['SOCKS4', (port: number) => Buffer.from([4, 1, port >> 8, port & 255, 127, 0, 0, 1, 0])],
  ])('stays where it is while its server does not read, by %s', async (_name, request) => {
    const proxy = await startProxy();
    let atServer: Socket | undefined;
    const port = await startTcpServer((socket) => {
      atServer = socket;
      socket.pause();
    });
    const socket = await connectClient(proxy.port);
    socket.write(request(port));
    const taken = flood(socket);
    await until(() => atServer !== undefined, 'the tunnel');
    let before = -1;
    // Until nothing moves. A machine that stands still ends this early, and the test is weaker then.
    while (await until(() => taken() > before, 'more', 300).then(...BOTH)) before = taken();
    expect(taken()).toBeLessThan(MOST_TAKEN_MIB);
    let got = 0;
    atServer!.on('data', (bytes: Buffer) => (got += bytes.length));
    atServer!.resume();
    await until(() => got >= FLOOD_MIB * MEBIBYTE.length, 'all of it');
  });
});

const BOTH = [() => true, () => false] as const;

describe('slow and endless beginnings', () => {
  const OPENINGS: readonly (readonly [string, Buffer, Buffer])[] = [
    ['nothing', Buffer.alloc(0), Buffer.alloc(0)],
    ['a SOCKS5 greeting a byte at a time', Buffer.from([5, 255]), Buffer.from([9])],
    ['a SOCKS4 name a byte at a time', Buffer.from([4, 1, 0, 80, 0, 0, 0, 1]), Buffer.from('x')],
    ['an HTTP header a byte at a time', Buffer.from('GET http://a/ HTTP/1.1\r\nX: '), Buffer.from('y')],
    ['a request line a byte at a time', Buffer.from('CONN'), Buffer.from('E')],
  ];

  it.each(OPENINGS)('%s: the client is given up in time', async (_name, first, more) => {
    const proxy = await startProxy({ headersTimeoutMs: 400 });
    const socket = await connectClient(proxy.port);
    socket.on('error', () => {});
    socket.resume();
    socket.write(first);
    const dripping = setInterval(() => {
      if (!socket.destroyed && more.length > 0) socket.write(more);
    }, 50);
    onCleanup(() => clearInterval(dripping));
    await once(socket, 'end').catch(() => {});
    clearInterval(dripping);
    socket.destroy();
    await until(() => proxy.server.counters().refused > 0, 'the refusal to be counted');
  });

  it.each(OPENINGS.slice(1))('%s, without end: is refused', async (_name, first, more) => {
    const proxy = await startProxy();
    const socket = await connectClient(proxy.port);
    const ended = once(socket, 'end');
    socket.on('error', () => {});
    socket.resume();
    socket.write(first);
    for (let i = 0; i < 64; i++) socket.write(Buffer.alloc(1 << 20, more));
    // Meanwhile the proxy reads and drops, so that its answer is not lost.
    await ended;
    expect(proxy.server.counters().refused).toBe(1);
  });

  it('hundreds of them keep nobody else from a tunnel', async () => {
    const proxy = await startProxy();
    const port = await startTcpServer((socket) => socket.end('served'));
    await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        const socket = await connectClient(proxy.port);
        socket.on('error', () => {});
        socket.write(OPENINGS[i % OPENINGS.length]![1]);
      }),
    );
    const tunnel = await openTunnel(proxy.port, port);
    expect(await readUntil(tunnel, (text) => text === 'served')).toBe('served');
    tunnel.destroy();
  });
});
