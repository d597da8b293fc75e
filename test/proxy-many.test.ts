/**
 * Tunnels in every protocol of the proxy's port, treated as networks treat them: half-closed, reset, stalled, many at
 * once, with every byte checked (support/checked-traffic.ts) and what is open counted before and after.
 *
 *   test's client ── TCP ── proxy ──┬───────────────────────────┬── TCP ── test's server       all on loopback
 *                                   └── another, or a far end ──┘
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { abortConnection } from '../src/native/index.ts';
import {
  cleanUp,
  connectTo,
  readAll,
  startProxy,
  startTcpServer,
  until,
  whatIsOpen,
  type StartedProxy,
} from './proxy-support.ts';
import { farUpstream, startFar, startProxyThrough } from './support/far-pair.ts';
import { CheckedAnswers, CheckedReplies, numbersFrom, POOL_BYTES } from './support/checked-traffic.ts';
import { ENTRANCES, enterTunnel, type Entrance } from './support/tunnel-entrance.ts';

afterEach(cleanUp);

async function open(proxyPort: number, entrance: Entrance, port: number): Promise<Socket> {
  const socket = await connectTo(proxyPort);
  await enterTunnel(socket, entrance, { address: '127.0.0.1', port });
  return socket;
}

/** RST, as from a machine that died and came back. */
function reset(socket: Socket): void {
  abortConnection((socket as unknown as { _handle: { fd: number } })._handle.fd);
  socket.destroy();
}

/** A server whose connections come one at a time. */
async function startServer(): Promise<{ readonly port: number; readonly accepted: () => Promise<Socket> }> {
  const waiting: Socket[] = [];
  const port = await startTcpServer((socket) => waiting.push(socket));
  return {
    port,
    accepted: async () => {
      await until(() => waiting.length > 0, 'a connection at the server');
      return waiting.shift()!;
    },
  };
}

const failureOf = (socket: Socket) =>
  new Promise<string>((resolve) => {
    let code = 'none';
    socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code ?? error.message));
    socket.once('close', () => resolve(code));
    socket.resume();
  });

/** Resident memory of this process that is not shared with files. */
function memoryMib(): number {
  const text = readFileSync('/proc/self/smaps_rollup', 'utf8');
  return Number(/^Anonymous:\s+(\d+)/m.exec(text)![1]) / 1024;
}

/** More than the kernel's buffers of two connections take. */
const OFFERED_MIB = 256;
const STILL_MS = 300;
const BOTH = [() => true, () => false] as const;

/** What stands between the proxy and the server. */
const WAYS = ['directly', 'through another proxy', 'through a SOCKS5 proxy', 'through a far end'] as const;
type Way = (typeof WAYS)[number];

/** A proxy whose tunnels all go that way. */
async function startProxyBy(way: Way): Promise<StartedProxy> {
  if (way === 'directly') return startProxy();
  if (way === 'through a far end') {
    const far = await startFar();
    return startProxyThrough(farUpstream(far.port, far.token));
  }
  const { port } = await startProxy();
  const kind = way === 'through another proxy' ? 'http' : 'socks5';
  return startProxyThrough({ name: 'other', kind, host: '127.0.0.1', port });
}

/** Every protocol, and every way for two of them. */
const CASES: readonly (readonly [Entrance, Way])[] = [
  ...ENTRANCES.map((entrance) => [entrance, WAYS[0]] as const),
  ...WAYS.slice(1).flatMap((way) => [['connect', way] as const, ['socks5', way] as const]),
];

describe.each(CASES)('a tunnel by %s, %s,', (entrance, way) => {
  it('carries on one way when the other has ended', async () => {
    const proxy = await startProxyBy(way);
    const server = await startServer();
    const client = await open(proxy.port, entrance, server.port);
    const other = await server.accepted();
    client.end('asked');
    expect(await readAll(other)).toBe('asked');
    const answer = readAll(client);
    other.write('ans');
    await until(() => client.bytesRead > 0, 'the answer to begin after the end of the question');
    other.end('wer');
    expect(await answer).toMatch(/answer$/);
    await until(() => proxy.server.counters().tunnelsClosed === 1, 'the end of the tunnel');
    expect(proxy.server.counters().tunnelsClosedByReason).toEqual({ finished: 1 });
  });

  it('carries on when the server ends first', async () => {
    const proxy = await startProxyBy(way);
    const server = await startServer();
    const client = await open(proxy.port, entrance, server.port);
    const other = await server.accepted();
    other.end('hello');
    expect(await readAll(client)).toMatch(/hello$/);
    client.end('goodbye');
    expect(await readAll(other)).toBe('goodbye');
  });

  it('passes a reset on, from either end', async () => {
    const proxy = await startProxyBy(way);
    const server = await startServer();
    const first = await open(proxy.port, entrance, server.port);
    const firstFailed = failureOf(first);
    reset(await server.accepted());
    expect(await firstFailed).toBe('ECONNRESET');
    const second = await open(proxy.port, entrance, server.port);
    const otherFailed = failureOf(await server.accepted());
    reset(second);
    expect(await otherFailed).toBe('ECONNRESET');
    await until(() => proxy.server.counters().tunnelsOpen === 0, 'the ends of both');
  });

  it('does not hold what a slow reader leaves', async () => {
    const proxy = await startProxyBy(way);
    const server = await startServer();
    const client = await open(proxy.port, entrance, server.port);
    client.pause();
    const other = await server.accepted();
    const chunk = Buffer.alloc(1 << 20, 1);
    for (let i = 0; i < OFFERED_MIB; i++) other.write(chunk);
    // Until nothing leaves any more. A machine that stands still ends this early, and the test is weaker then.
    let sent = -1;
    const moves = () => OFFERED_MIB * chunk.length - other.writableLength > sent;
    while (await until(moves, 'more to leave', STILL_MS).then(...BOTH)) {
      sent = OFFERED_MIB * chunk.length - other.writableLength;
    }
    expect(other.writableLength).toBeGreaterThan(0);
    other.end();
    let got = 0;
    client.on('data', (bytes: Buffer) => (got += bytes.length));
    client.resume();
    await once(client, 'end');
    expect(got).toBe(OFFERED_MIB * chunk.length);
  });

  it('takes what the client sends before it has heard that the tunnel is open', async () => {
    const proxy = await startProxyBy(way);
    const server = await startServer();
    const client = await connectTo(proxy.port);
    await enterTunnel(client, entrance, { address: '127.0.0.1', port: server.port }, 'early');
    client.end(' and late');
    expect(await readAll(await server.accepted())).toBe('early and late');
  });
});

describe('many tunnels', () => {
  const TUNNELS = 600;
  const ROUNDS = 5;

  it(
    'of all protocols at once, slow and quick, are whole and leave nothing',
    { timeout: 120_000 },
    async () => {
      const proxy = await startProxy();
      const port = await startTcpServer((socket) => {
        const answers = new CheckedAnswers();
        socket.on('data', (bytes: Buffer) => {
          for (const reply of answers.handleBytes(bytes)) socket.write(reply);
        });
        socket.once('end', () => socket.end(answers.handleEnd()));
      });
      const runOne = async (number: number) => {
        const random = numbersFrom(number);
        const entrance = ENTRANCES[number % ENTRANCES.length]!;
        const socket = await open(proxy.port, entrance, port);
        const replies = new CheckedReplies();
        const slow = number % 3 === 0;
        socket.on('data', (bytes: Buffer) => {
          replies.handleBytes(bytes);
          if (!slow) return;
          socket.pause();
          setImmediate(() => socket.resume());
        });
        for (let round = 0; round < ROUNDS; round++) {
          const replyBytes = 1 + random(200_000);
          const payloadBytes = 1 + random(100_000);
          const replyAt = random(POOL_BYTES - replyBytes);
          const payloadAt = random(POOL_BYTES - payloadBytes);
          socket.write(replies.begin({ replyBytes, payloadBytes, replyAt, payloadAt }));
          // A quarter are reset in the middle of it.
          if (number % 4 === 1 && round === 2) {
            reset(socket);
            return;
          }
        }
        replies.beginEnd();
        socket.end();
        await once(socket, 'end');
        replies.handleEnd();
        expect(`${entrance} ${number}: ${replies.problem ?? 'whole'}`).toBe(`${entrance} ${number}: whole`);
        socket.destroy();
      };
      const runAll = async () => {
        const { tunnelsOpened } = proxy.server.counters();
        await Promise.all(Array.from({ length: TUNNELS }, (_, number) => runOne(number)));
        const settled = () => {
          const counters = proxy.server.counters();
          return counters.tunnelsOpened === tunnelsOpened + TUNNELS && counters.tunnelsOpen === 0;
        };
        await until(settled, 'every tunnel to be closed');
      };
      await runAll();
      const before = whatIsOpen();
      const memoryBefore = memoryMib();
      await runAll();
      await until(() => whatIsOpen().fds <= before.fds, 'the descriptors to be given back');
      expect(whatIsOpen()).toEqual(before);
      // What a tunnel would leave if it left its read buffers.
      expect(memoryMib() - memoryBefore).toBeLessThan(TUNNELS * 0.1);
      expect(proxy.server.counters().tunnelsClosedByReason['finished']).toBe((2 * TUNNELS * 3) / 4);
    },
  );
});
