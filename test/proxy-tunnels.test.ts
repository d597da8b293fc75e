/**
 * CONNECT tunnels through the relay thread, against real sockets: many of them, whole, half-closed, stalled, reset,
 * idle, over TCP and MPTCP.
 *
 *   test's client ── TCP ── proxy (relay thread) ── TCP or MPTCP ── test's server          all on loopback
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import { countOf, differenceOf, readCounters } from '../src/mptcp/index.ts';
import { abortConnection } from '../src/native/index.ts';
import { ProxyServer } from '../src/proxy/index.ts';
import {
  cleanUp,
  connectTo,
  openTunnel,
  readAll,
  readUntil,
  startMptcpServer,
  startProxy,
  startTcpServer,
  until,
  whatIsOpen,
} from './proxy-support.ts';

afterEach(cleanUp);

/** Random bytes that both ends know; any part of them is told by where it begins. */
const POOL = randomBytes(8 << 20);
const LARGEST = 4 << 20;
const piece = (at: number, length: number) => POOL.subarray(at, at + length);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** A repeatable source of numbers below 1, so that a failure can be repeated (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const HEADER_BYTES = 8;

/**
 * The server's part: reads how many bytes to send and from where, sends them at once, meanwhile reads everything
 * until the client's end, then sends the SHA-256 of it, and ends. So every tunnel carries both ways at the same
 * time, and a half-close.
 */
function mirror(socket: Socket): void {
  const hash = createHash('sha256');
  let header = Buffer.alloc(0);
  let headed = false;
  socket.on('data', (chunk: Buffer) => {
    if (headed) {
      hash.update(chunk);
      return;
    }
    header = Buffer.concat([header, chunk]);
    if (header.length < HEADER_BYTES) return;
    headed = true;
    socket.write(piece(header.readUInt32LE(0), header.readUInt32LE(4)));
    hash.update(header.subarray(HEADER_BYTES));
  });
  socket.on('end', () => socket.end(hash.digest()));
}

interface Job {
  readonly upAt: number;
  readonly upBytes: number;
  readonly downAt: number;
  readonly downBytes: number;
}

function jobs(count: number, largest: number, seed: number): Job[] {
  const random = randomFrom(seed);
  const at = () => Math.floor(random() * (POOL.length - largest));
  // Small ones are many, and the largest occurs.
  const size = () => Math.floor(largest ** random());
  return Array.from({ length: count }, () => ({
    upAt: at(),
    upBytes: size(),
    downAt: at(),
    downBytes: size(),
  }));
}

/** The client's part. Throws when a byte is wrong, missing or too much. */
async function run(proxyPort: number, serverPort: number, job: Job): Promise<void> {
  const { upAt, upBytes, downAt, downBytes } = job;
  const socket = await openTunnel(proxyPort, serverPort);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(downAt, 0);
  header.writeUInt32LE(downBytes, 4);
  const answer = new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.once('end', () => resolve(Buffer.concat(chunks)));
    socket.once('close', () => reject(new Error(`closed before the end: ${JSON.stringify(job)}`)));
  });
  socket.write(header);
  socket.end(piece(upAt, upBytes));
  const got = await answer;
  socket.destroy();
  const whole = Buffer.concat([piece(downAt, downBytes), sha256(piece(upAt, upBytes))]);
  if (!got.equals(whole))
    throw new Error(`${got.length} of ${whole.length} bytes, or wrong ones: ${JSON.stringify(job)}`);
}

const sum = (list: readonly Job[], pick: (job: Job) => number) =>
  list.reduce((all, job) => all + pick(job), 0);

describe('tunnels arrive intact', () => {
  it('10,000 one after another', { timeout: 240_000 }, async () => {
    const server = await startTcpServer(mirror);
    const proxy = await startProxy({}, { multipath: false });
    const list = jobs(10_000, 64 << 10, 1);
    await run(proxy.port, server, list[0]!);
    await until(() => proxy.server.counters().tunnelsOpen === 0, 'the first tunnel to be closed');
    const before = whatIsOpen();
    for (const job of list.slice(1)) await run(proxy.port, server, job);
    await until(() => proxy.server.counters().tunnelsClosed === list.length, 'all tunnels to be closed');
    const counters = proxy.server.counters();
    expect(counters).toMatchObject({
      tunnelsOpened: 10_000,
      tunnelsOpen: 0,
      upstreamsTcp: 10_000,
      dialsFailed: 0,
    });
    expect(counters.tunnelsClosedByReason).toEqual({ finished: 10_000 });
    expect(counters.bytesUp).toBe(sum(list, (job) => job.upBytes + HEADER_BYTES));
    expect(counters.bytesDown).toBe(sum(list, (job) => job.downBytes + 32));
    await until(() => whatIsOpen().fds <= before.fds, 'descriptors to be closed');
    expect(whatIsOpen()).toEqual(before);
  });

  it.each([
    ['TCP', startTcpServer],
    ['MPTCP', startMptcpServer],
  ])('1,000 at once, upstream %s', { timeout: 120_000 }, async (_name, startServer) => {
    let arrived = 0;
    const server = await startServer((socket) => {
      arrived++;
      mirror(socket);
    });
    const proxy = await startProxy();
    const list = jobs(1000, LARGEST, 2);
    // All are open before the first byte goes.
    const idle = await Promise.all(list.map(() => openTunnel(proxy.port, server)));
    expect(proxy.server.counters().tunnelsOpen).toBe(1000);
    await until(() => arrived === 1000, 'the server to see them all');
    for (const socket of idle) socket.destroy();
    await until(() => proxy.server.counters().tunnelsOpen === 0, 'the idle tunnels to be closed');
    const { bytesUp, bytesDown } = proxy.server.counters();
    await Promise.all(list.map((job) => run(proxy.port, server, job)));
    await until(() => proxy.server.counters().tunnelsOpen === 0, 'all tunnels to be closed');
    const counters = proxy.server.counters();
    expect(counters.tunnelsOpened).toBe(2000);
    expect(counters.bytesUp - bytesUp).toBe(sum(list, (job) => job.upBytes + HEADER_BYTES));
    expect(counters.bytesDown - bytesDown).toBe(sum(list, (job) => job.downBytes + 32));
  });

  it('bytes sent together with the request', async () => {
    const server = await startTcpServer(mirror);
    const proxy = await startProxy();
    const socket = await connectTo(proxy.port);
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(100, 4);
    const head = `CONNECT 127.0.0.1:${server} HTTP/1.1\r\nHost: a\r\n\r\n`;
    socket.end(Buffer.concat([Buffer.from(head), header, piece(0, 1000)]));
    const answer = Buffer.from(await readAll(socket), 'latin1');
    const whole = Buffer.concat([
      Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n'),
      piece(0, 100),
      sha256(piece(0, 1000)),
    ]);
    expect(answer.equals(whole)).toBe(true);
  });
});

describe('half-close', () => {
  it('of the server leaves the way to it open', async () => {
    let got = '';
    const server = await startTcpServer((socket) => {
      socket.end('bye');
      socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1')));
    });
    const proxy = await startProxy();
    const socket = await openTunnel(proxy.port, server);
    expect(await readAll(socket)).toBe('bye');
    socket.write('still here');
    await until(() => got === 'still here', 'the server to get what was sent after its end');
    socket.end();
    await until(() => proxy.server.counters().tunnelsClosed === 1, 'the tunnel to close');
    expect(proxy.server.counters().tunnelsClosedByReason).toEqual({ finished: 1 });
  });
});

describe('a reader that does not read', () => {
  /** Sends as much as is taken, and counts it. */
  function flood(sent: { bytes: number }): (socket: Socket) => void {
    const block = piece(0, 1 << 16);
    return (socket) => {
      const send = () => {
        while (socket.writable && socket.writableLength < block.length * 2) {
          socket.write(block, (error) => {
            if (error !== null && error !== undefined) return;
            sent.bytes += block.length;
            send();
          });
        }
      };
      send();
    };
  }

  /** Waits until a number has stayed the same for a while. */
  async function settled(number: () => number): Promise<number> {
    let last = -1;
    for (let same = 0; same < 20;) {
      await new Promise((resolve) => setTimeout(resolve, 25));
      same = number() === last ? same + 1 : 0;
      last = number();
    }
    return last;
  }

  /** The most that the sockets of one tunnel may hold, by the kernel's own limits: receive and send, twice. */
  function socketBuffersBytes(): number {
    const most = (name: string) => Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').split(/\s+/)[2]);
    return 2 * (most('tcp_rmem') + most('tcp_wmem'));
  }

  it.each([
    ['TCP', startTcpServer],
    ['MPTCP', startMptcpServer],
  ])('stops the sender, upstream %s; memory stays', { timeout: 120_000 }, async (_name, startServer) => {
    // Few enough that their socket buffers stay far from the kernel's limit for all (tcp_mem).
    const COUNT = 20;
    const sent = { bytes: 0 };
    const server = await startServer(flood(sent));
    const proxy = await startProxy({ heldBytesSoftLimit: 8 << 20 });
    const warm = await openTunnel(proxy.port, server);
    await settled(() => sent.bytes);
    warm.destroy();
    await until(() => proxy.server.counters().tunnelsOpen === 0, 'the first tunnel to be closed');
    const rssBefore = process.memoryUsage.rss();
    sent.bytes = 0;
    const stalled: Socket[] = [];
    for (let i = 0; i < COUNT; i++) stalled.push(await openTunnel(proxy.port, server));
    const stalledAt = await settled(() => sent.bytes);
    // What the kernel's four socket buffers and at most one read of ours hold, not what the server would send.
    expect(stalledAt / COUNT).toBeLessThan(socketBuffersBytes() + (2 << 20));
    expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(96 << 20);
    const held = proxy.server.counters().bytesDown;
    // Once it reads, everything flows again.
    const reader = stalled[0]!;
    let got = 0;
    reader.on('data', (chunk: Buffer) => (got += chunk.length));
    await until(() => got > 64 << 20, 'the stalled tunnel to flow');
    expect(proxy.server.counters().bytesDown - held).toBeGreaterThan(32 << 20);
  });
});

describe('resets', () => {
  it.each([
    ['TCP', startTcpServer],
    ['MPTCP', startMptcpServer],
  ])('of the client reach the server, upstream %s', async (_name, startServer) => {
    const failed: (string | undefined)[] = [];
    const server = await startServer((socket) => {
      socket.on('error', (error: NodeJS.ErrnoException) => failed.push(error.code));
      socket.resume();
      socket.write('hello');
    });
    const proxy = await startProxy();
    const socket = await openTunnel(proxy.port, server);
    await readUntil(socket, (text) => text === 'hello');
    socket.resetAndDestroy();
    await until(() => failed.length === 1, 'the server to see the reset');
    expect(failed).toEqual(['ECONNRESET']);
    await until(() => proxy.server.counters().tunnelsClosed === 1, 'the tunnel to close');
    expect(proxy.server.counters().tunnelsClosedByReason).toEqual({ 'client-failed': 1 });
  });

  it('of the server reach the client', async () => {
    const server = await startTcpServer((socket) => void socket.once('data', () => socket.resetAndDestroy()));
    const proxy = await startProxy();
    const socket = await openTunnel(proxy.port, server);
    const failed = new Promise((resolve) => socket.once('error', resolve));
    socket.resume();
    socket.write('hello');
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
    await until(() => proxy.server.counters().tunnelsClosed === 1, 'the tunnel to close');
    expect(proxy.server.counters().tunnelsClosedByReason).toEqual({ 'upstream-failed': 1 });
  });

  it('after a half-close are noticed although nobody reads any more', async () => {
    let ended = false;
    const server = await startTcpServer((socket) => {
      socket.resume();
      socket.once('end', () => {
        ended = true;
      });
    });
    const proxy = await startProxy();
    const socket = await openTunnel(proxy.port, server);
    socket.end();
    // The server keeps its side open; then the client dies.
    await until(() => ended, 'the server to see the end');
    abortConnection((socket as unknown as { _handle: { fd: number } })._handle.fd);
    await until(() => proxy.server.counters().tunnelsClosed === 1, 'the tunnel to close');
    expect(proxy.server.counters().tunnelsClosedByReason).toEqual({ 'closed-early': 1 });
  });
});

describe('time limits', () => {
  it('an idle tunnel is closed, one that is used is not', async () => {
    const server = await startTcpServer((socket) => void socket.pipe(socket));
    const proxy = await startProxy({ tunnelIdleTimeoutMs: 300 });
    const idle = await openTunnel(proxy.port, server);
    const used = await openTunnel(proxy.port, server);
    used.resume();
    const drip = setInterval(() => used.write('x'), 20);
    const failed = new Promise((resolve) => idle.once('error', resolve));
    idle.resume();
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
    await until(() => proxy.server.counters().tunnelsClosed === 1, 'the tunnel to be counted');
    expect(proxy.server.counters()).toMatchObject({ tunnelsOpen: 1, tunnelsClosedByReason: { idle: 1 } });
    clearInterval(drip);
  });

  it('a half-closed tunnel that stays silent is closed', async () => {
    const server = await startTcpServer((socket) => void socket.resume());
    const proxy = await startProxy({ halfClosedTimeoutMs: 200 });
    const kept = await openTunnel(proxy.port, server);
    const half = await openTunnel(proxy.port, server);
    half.resume();
    half.end();
    await until(() => proxy.server.counters().tunnelsClosed === 1, 'the half-closed tunnel to be closed');
    expect(proxy.server.counters().tunnelsClosedByReason).toEqual({ 'half-closed-idle': 1 });
    kept.destroy();
  });
});

describe('what is told of a connection', () => {
  it('bytes while it is open, and what it speaks', async () => {
    const mptcp = await startMptcpServer((socket) => void socket.pipe(socket));
    const tcp = await startTcpServer((socket) => void socket.pipe(socket));
    const proxy = await startProxy();
    for (const [port, text] of [
      [mptcp, 'over MPTCP'],
      [tcp, 'over TCP'],
    ] as const) {
      const socket = await openTunnel(proxy.port, port);
      socket.write(text);
      await readUntil(socket, (all) => all === text);
    }
    await until(() => proxy.server.counters().bytesDown === 18, 'the last bytes to be counted');
    const [first, second] = proxy.server.connections();
    expect(first).toMatchObject({
      kind: 'connect',
      target: `127.0.0.1:${mptcp}`,
      remote: `127.0.0.1:${mptcp}`,
      protocol: 'mptcp',
      bytesUp: 10,
      bytesDown: 10,
    });
    expect(first?.client).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(first?.token).toBeGreaterThan(0);
    expect(first?.fallbackReason).toBeUndefined();
    expect(second).toMatchObject({ protocol: 'tcp', bytesUp: 8, bytesDown: 8 });
    expect(second?.fallbackReason).toMatch(/does not speak MPTCP/);
    expect(second?.token).toBeUndefined();
    expect(proxy.server.counters()).toMatchObject({ upstreamsMptcp: 1, upstreamsTcp: 1 });
    expect(Object.values(proxy.server.counters().fallbacksByReason)).toEqual([1]);
  });

  it('a server that answered plain TCP is not asked for MPTCP again', async () => {
    const tcp = await startTcpServer((socket) => void socket.pipe(socket));
    const mptcp = await startMptcpServer((socket) => void socket.pipe(socket));
    const proxy = await startProxy();
    const before = readCounters();
    const asked = () => countOf(differenceOf(before, readCounters()), 'MPCapableSYNTX');
    for (let i = 0; i < 3; i++) await openTunnel(proxy.port, tcp);
    expect(asked()).toBe(1);
    const reasons = proxy.server
      .connections()
      .map(({ protocol, fallbackReason }) => [protocol, fallbackReason]);
    expect(reasons).toEqual([
      ['tcp', expect.stringMatching(/does not speak MPTCP/)],
      ['tcp', expect.stringMatching(/did not speak MPTCP in the last minutes/)],
      ['tcp', expect.stringMatching(/did not speak MPTCP in the last minutes/)],
    ]);
    await openTunnel(proxy.port, mptcp);
    expect(asked()).toBe(2);
  });

  it('plain TCP was asked for: no fallback', async () => {
    const mptcp = await startMptcpServer((socket) => void socket.pipe(socket));
    const proxy = await startProxy({}, { multipath: false });
    await openTunnel(proxy.port, mptcp);
    expect(proxy.server.connections()).toMatchObject([{ protocol: 'tcp' }]);
    expect(proxy.server.counters().fallbacksByReason).toEqual({});
  });
});

describe('limits', () => {
  it('one tunnel too many is answered with 503', async () => {
    const server = await startTcpServer((socket) => void socket.pipe(socket));
    const proxy = await startProxy({ maxTunnels: 2 });
    await openTunnel(proxy.port, server);
    const last = await openTunnel(proxy.port, server);
    await expect(openTunnel(proxy.port, server)).rejects.toThrow(/^HTTP\/1\.1 503 /);
    last.destroy();
    await until(() => proxy.server.counters().tunnelsOpen === 1, 'a tunnel to be closed');
    await openTunnel(proxy.port, server);
  });
});

describe('stop', () => {
  it('resets live tunnels and leaves nothing open', async () => {
    const server = await startTcpServer((socket) => void socket.pipe(socket));
    const round = async () => {
      const proxy = await startProxy();
      const sockets = await Promise.all(Array.from({ length: 50 }, () => openTunnel(proxy.port, server)));
      // Not of the first: when a reset comes with data before it, Node's streams may report a plain end.
      const failures = Promise.all(
        sockets.slice(1).map((socket) => new Promise((resolve) => socket.once('error', resolve))),
      );
      const ended = new Promise((resolve) => sockets[0]!.once('error', resolve).once('end', resolve));
      for (const socket of sockets) socket.resume();
      // One that carries, so that pipes are in use.
      sockets[0]!.write(piece(0, LARGEST));
      await until(() => proxy.server.counters().bytesDown > 1 << 20, 'bytes to flow');
      await proxy.server.stop();
      expect(await failures).toHaveLength(49);
      await ended;
      sockets[0]!.destroy();
      expect(proxy.server.counters()).toMatchObject({
        tunnelsOpen: 0,
        tunnelsClosedByReason: { aborted: 50 },
      });
    };
    await round();
    const before = whatIsOpen();
    await round();
    await until(() => whatIsOpen().fds <= before.fds, 'descriptors to be closed');
    await until(() => whatIsOpen().threads <= before.threads, 'the thread to end');
  });

  it('at once after start', async () => {
    for (let i = 0; i < 5; i++) {
      const proxy = await startProxy();
      await proxy.server.stop();
    }
    expect(whatIsOpen().threads).toBeGreaterThan(0);
  });

  it('while it starts, and twice', async () => {
    const stopWhileStarting = async () => {
      const listen = [
        { address: '127.0.0.1', port: 0 },
        { address: '127.0.0.2', port: 0 },
      ];
      const server = new ProxyServer({ listen, logger: silentLogger });
      const started = server.start();
      const stopped = [server.stop(), server.stop()];
      await expect(started).rejects.toThrow('the proxy was stopped while it started');
      await Promise.all(stopped);
      expect(server.addresses).toEqual([]);
    };
    await stopWhileStarting();
    const before = whatIsOpen();
    await stopWhileStarting();
    expect(whatIsOpen()).toEqual(before);
  });
});
