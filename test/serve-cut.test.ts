/**
 * A tunnel through a far end that ends without its end's word: a program killed, a FIN that somebody on the way has
 * forged, frames that are none. Nobody takes what came so far for the whole.
 *
 *   client ── proxy ── TLS over MPTCP ── far end ── TCP ── destination      all on loopback
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectFd } from '../src/mptcp/index.ts';
import { makeToken } from '../src/proxy/index.ts';
import { connectTls } from '../src/proxy/upstream/tls-connect.ts';
import {
  cleanUp,
  connectTo,
  onCleanup,
  openTunnel,
  readAll,
  readUntil,
  startTcpServer,
  until,
} from './proxy-support.ts';
import { bundleTypeScript } from './support/bundle.ts';
import type { FarChildOptions } from './support/far-child.ts';
import { farUpstream, startFar, startProxyThrough, type StartedFar } from './support/far-pair.ts';

const SENT = Buffer.alloc(1_000_000, 'x');

let program = '';

beforeAll(async () => {
  program = await bundleTypeScript(new URL('support/far-child.ts', import.meta.url));
});
afterEach(cleanUp);

interface Started {
  readonly port: number;
  /** As `kill -9` does it. */
  readonly kill: () => void;
}

async function startChild(options: FarChildOptions): Promise<Started> {
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  onCleanup(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  child.stdin.write(`${JSON.stringify(options)}\n`);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { port: Number(line), kill: () => void child.kill('SIGKILL') };
}

interface Seen {
  bytes: number;
  /** `end`, or the code of the error, whichever comes first. */
  how?: string;
}

function watch(socket: Socket): Seen {
  const seen: Seen = { bytes: 0 };
  socket.on('data', (chunk: Buffer) => {
    seen.bytes += chunk.length;
  });
  socket.once('end', () => {
    seen.how ??= 'end';
  });
  socket.once('error', ({ code = 'error' }: NodeJS.ErrnoException) => {
    seen.how ??= code;
  });
  socket.resume();
  return seen;
}

/** Sends something, and goes on for ever. */
async function startSender(): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const port = await startTcpServer((socket) => {
    seen.push(watch(socket));
    socket.write(SENT);
  });
  return { port, seen };
}

/** A wire to a port, on which somebody can forge a FIN to both ends of all that it carries. */
async function startWire(port: number): Promise<{ port: number; forgeEnds: () => void }> {
  const ends: Socket[] = [];
  const wire = await startTcpServer((socket) => {
    void connectTo(port).then((onward) => {
      ends.push(socket, onward);
      socket.pipe(onward);
      onward.pipe(socket);
      socket.once('close', () => onward.destroy());
    });
  });
  return {
    port: wire,
    forgeEnds: () => {
      for (const socket of ends) socket.unpipe().end();
    },
  };
}

async function exitCodeOf(child: ChildProcess): Promise<number | null> {
  return child.exitCode ?? ((await once(child, 'exit')) as [number | null])[0];
}

describe('what was cut off is reset', () => {
  it('for the client, when the far end is killed', async () => {
    const token = makeToken();
    const far = await startChild({ token });
    const sender = await startSender();
    const { port } = await startProxyThrough(farUpstream(far.port, token));
    const seen = watch(await openTunnel(port, sender.port));
    await until(() => seen.bytes === SENT.length, 'all of it so far');
    far.kill();
    await until(() => seen.how !== undefined, 'the client to hear of it');
    expect(seen.how).toBe('ECONNRESET');
  });

  // An answer without length is as long as what comes before the end.
  it.each([
    ['by CONNECT', ['--proxytunnel']],
    ['by a plain request', []],
  ])('for curl %s, when the far end is killed', async (_how, args) => {
    const token = makeToken();
    const far = await startChild({ token });
    const origin = await startTcpServer((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.0 200 OK\r\n\r\n');
        socket.write(SENT);
      });
    });
    const { port } = await startProxyThrough(farUpstream(far.port, token));
    const url = `http://127.0.0.1:${origin}/`;
    const curl = spawn(
      'curl',
      ['-sN', '--max-time', '60', '--noproxy', '', '-x', `http://127.0.0.1:${port}`, ...args, url],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    let bytes = 0;
    curl.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await until(() => bytes === SENT.length, 'all of it so far');
    far.kill();
    // 56: failure with receiving; 18: a part of the file only.
    expect([56, 18]).toContain(await exitCodeOf(curl));
  });

  it('for the destination, when the laptop’s side is killed', async () => {
    const far = await startFar();
    const laptop = await startChild({ upstream: farUpstream(far.port, far.token) });
    const sender = await startSender();
    const client = await openTunnel(laptop.port, sender.port);
    const got = watch(client);
    client.write(SENT);
    await until(
      () => got.bytes === SENT.length && sender.seen[0]?.bytes === SENT.length,
      'all of it both ways',
    );
    laptop.kill();
    await until(() => sender.seen[0]?.how !== undefined, 'the destination to hear of it');
    expect(sender.seen[0]?.how).toBe('ECONNRESET');
    await until(() => far.server.counters().tunnelsOpen === 0, 'the tunnel to be closed');
  });

  it('for both, by a forged FIN; also where one direction had ended in order', async () => {
    const far = await startFar();
    const wire = await startWire(far.port);
    const sender = await startSender();
    const { server, port } = await startProxyThrough(farUpstream(wire.port, far.token));
    const [client, halfClosed] = [await openTunnel(port, sender.port), await openTunnel(port, sender.port)];
    const seen = [watch(client), watch(halfClosed)];
    halfClosed.end('bye');
    await until(() => seen.every(({ bytes }) => bytes === SENT.length), 'all of it so far');
    await until(() => sender.seen[1]?.how === 'end', 'the end of one direction');
    wire.forgeEnds();
    await until(() => seen.every(({ how }) => how !== undefined), 'the clients to hear of it');
    await until(() => sender.seen[0]?.how !== undefined, 'the destination to hear of it');
    expect(seen.map(({ how }) => how)).toEqual(['ECONNRESET', 'ECONNRESET']);
    expect(sender.seen[0]?.how).toBe('ECONNRESET');
    await until(() => far.server.counters().tunnelsOpen === 0, 'the tunnels to be closed');
    expect(server.connections()).toEqual([]);
  });
});

it('the destination ends first, the client much later: every byte, and an end each', async () => {
  const seen: Seen[] = [];
  const target = await startTcpServer((socket) => {
    seen.push(watch(socket));
    socket.end(SENT);
  });
  const far = await startFar();
  const { server, port } = await startProxyThrough(farUpstream(far.port, far.token));
  const client = await openTunnel(port, target);
  const got = watch(client);
  await until(() => got.how !== undefined, 'the end');
  expect(got).toEqual({ bytes: SENT.length, how: 'end' });
  expect(far.server.counters()).toMatchObject({ tunnelsOpen: 1 });
  client.end(SENT);
  await until(() => seen[0]?.how !== undefined, 'the end of the other direction');
  expect(seen[0]).toEqual({ bytes: SENT.length, how: 'end' });
  await until(() => server.counters().tunnelsClosed === 1, 'the tunnel to be closed');
  expect(server.counters().tunnelsClosedByReason).toEqual({ finished: 1 });
  await until(() => far.server.counters().tunnelsOpen === 0, 'the tunnel to be closed there');
  // Those that wait for the next tunnels, and no other.
  const waiting = () => server.upstreamHealth()[0]?.ready;
  await until(() => far.server.counters().connectionsOpen === waiting(), 'the connection to be closed');
});

/** A connection to a far end whose handshake is done. */
async function secure(far: StartedFar): Promise<TLSSocket> {
  const { fd } = await connectFd({ address: '127.0.0.1', port: far.port });
  const stream = await connectTls(fd, farUpstream(far.port, far.token), new AbortController().signal);
  onCleanup(() => void stream.destroy());
  return stream;
}

const askFor = (port: number, field = '') =>
  Buffer.from(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: a\r\n${field}\r\n`);
const FRAMES = 'Weft-Tunnel: frames\r\n';

describe('the words themselves', () => {
  it('frames for who asks for them; what comes with the request is the tunnel’s', async () => {
    const far = await startFar();
    const target = await startTcpServer((socket) => {
      socket.write('hi');
      void readAll(socket).then((text) => socket.end(text.toUpperCase()));
    });
    const stream = await secure(far);
    const answer = readAll(stream);
    stream.write(Buffer.concat([askFor(target, FRAMES), Buffer.from('\0\0\0\x03abc\0\0\0\x01d\0\0\0\0')]));
    const text = await answer;
    expect(text).toMatch(/^HTTP\/1\.1 200 [^\r]*\r\nWeft-Tunnel: frames\r\n\r\n/);
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe('\0\0\0\x02hi\0\0\0\x04ABCD\0\0\0\0');
  });

  it('a plain CONNECT for everybody else', async () => {
    const far = await startFar();
    const target = await startTcpServer((socket) => {
      void readAll(socket).then((text) => socket.end(text.toUpperCase()));
    });
    const stream = await secure(far);
    const answer = readAll(stream);
    stream.end(Buffer.concat([askFor(target), Buffer.from('abc')]));
    expect(await answer).toBe('HTTP/1.1 200 Connection established\r\n\r\nABC');
  });

  it.each([
    ['something that is no frame', 'HTTP/1.1', false],
    ['an end of TLS in the middle of a frame', '\0\0\0\x08abc', true],
    ['an end of TLS between frames', '', true],
  ])('%s: the destination is reset', async (_what, bytes, isEnd) => {
    const far = await startFar();
    const seen: Seen[] = [];
    const target = await startTcpServer((socket) => void seen.push(watch(socket)));
    const stream = await secure(far);
    stream.write(Buffer.concat([askFor(target, FRAMES), Buffer.from('\0\0\0\x03abc')]));
    expect(await readUntil(stream, (text) => text.endsWith('\r\n\r\n'))).toMatch(/ 200 /);
    await until(() => seen[0]?.bytes === 3, 'the first frame');
    stream.resume();
    if (isEnd) stream.end(bytes);
    else stream.write(bytes);
    await until(() => seen[0]?.how !== undefined, 'the destination to hear of it');
    expect(seen[0]?.how).toBe('ECONNRESET');
    await until(() => far.server.counters().connectionsOpen === 0, 'the connection to be closed');
  });
});
