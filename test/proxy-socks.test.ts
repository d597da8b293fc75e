/**
 * SOCKS5, SOCKS4 and SOCKS4a on the proxy's one port: by curl, byte by byte, and by clients that misbehave.
 *
 *   curl or raw bytes ── SOCKS ── proxy ── TCP ── test's server          all on loopback
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import {
  cleanUp,
  connectTo,
  readAll,
  readUntil,
  startHttpServer,
  startProxy,
  startTcpServer,
  until,
  whatIsOpen,
} from './proxy-support.ts';

afterEach(cleanUp);

const run = promisify(execFile);

/** What curl prints; its exit code in `code`. */
async function curl(...args: string[]): Promise<{ readonly stdout: string; readonly code: number }> {
  try {
    const { stdout } = await run('curl', ['-sS', '--noproxy', '', '--max-time', '20', ...args]);
    return { stdout, code: 0 };
  } catch (error) {
    const { stdout, code } = error as { stdout: string; code: number };
    return { stdout, code };
  }
}

const bytes = (...parts: (number | string)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));
const port2 = (port: number) => [port >> 8, port & 0xff] as const;
const GREETING = bytes(5, 1, 0);
const connectRequest = (port: number) => bytes(5, 1, 0, 1, 127, 0, 0, 1, ...port2(port));
const latin1 = (...parts: (number | string)[]) => bytes(...parts).toString('latin1');
const SUCCESS = latin1(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);

const echo = () => startTcpServer((socket) => void socket.pipe(socket));

/** A tunnel by SOCKS5, past its answers. */
async function openSocksTunnel(proxyPort: number, targetPort: number): Promise<Socket> {
  const socket = await connectTo(proxyPort);
  socket.write(Buffer.concat([GREETING, connectRequest(targetPort)]));
  const answer = await readUntil(socket, (text) => text.length >= 12);
  if (answer !== `${latin1(5, 0)}${SUCCESS}`) throw new Error(JSON.stringify(answer));
  return socket;
}

describe('curl', () => {
  const BODY = randomBytes(1 << 20);
  const origin = () => startHttpServer((_request, response) => response.end(BODY));
  const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

  it.each([
    ['--socks5', '127.0.0.1'],
    ['--socks5-hostname', 'localhost'],
    ['--socks4', '127.0.0.1'],
    ['--socks4a', 'localhost'],
  ])('%s', async (option, host) => {
    const [proxy, web] = [await startProxy(), await origin()];
    const url = `http://${host}:${web}/`;
    const { stdout } = await run('curl', ['-sS', option, `127.0.0.1:${proxy.port}`, '--noproxy', '', url], {
      encoding: 'buffer',
      maxBuffer: 4 << 20,
    });
    expect(sha256(stdout)).toBe(sha256(BODY));
    expect(proxy.server.counters()).toMatchObject({ tunnelsOpened: 1, dialsFailed: 0, refused: 0 });
  });

  it.each([
    // Nobody listens on port 1 in the test's namespace.
    ['a closed port', 'http://127.0.0.1:1/', 5],
    ['a name that there is not', 'http://nothing.invalid/', 4],
  ])('learns why it cannot reach %s', async (_what, url, reply) => {
    const proxy = await startProxy();
    const { code, stdout } = await curl(
      '--socks5-hostname',
      `127.0.0.1:${proxy.port}`,
      '-w',
      '%{proxy_error}%{errormsg}',
      url,
    );
    expect(code).toBe(97);
    expect(stdout).toContain(`(${reply})`);
    expect(proxy.server.counters().dialsFailed).toBe(1);
  });

  it('that insists on telling a user that nobody asked for', async () => {
    const [proxy, web] = [await startProxy(), await origin()];
    const { code } = await curl(
      '-o',
      '/dev/null',
      '--socks5',
      `127.0.0.1:${proxy.port}`,
      '-U',
      'ann:secret',
      `http://127.0.0.1:${web}/`,
    );
    expect(code).toBe(0);
  });
});

describe('a client', () => {
  it('that sends byte by byte is served', async () => {
    const [proxy, server] = [await startProxy(), await echo()];
    const socket = await connectTo(proxy.port);
    socket.setNoDelay(true);
    const answers: string[] = [];
    socket.on('data', (chunk: Buffer) => answers.push(chunk.toString('latin1')));
    for (const byte of Buffer.concat([GREETING, connectRequest(server), Buffer.from('hello')])) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const whole = `${latin1(5, 0)}${SUCCESS}hello`;
    await until(() => answers.join('').length === whole.length, 'the echo');
    expect(answers.join('')).toBe(whole);
  });

  it('that sends everything at once is served, half-close included', async () => {
    const [proxy, server] = [await startProxy(), await echo()];
    const socket = await connectTo(proxy.port);
    const ahead = randomBytes(200_000).toString('latin1');
    socket.write(Buffer.concat([GREETING, connectRequest(server)]));
    socket.end(Buffer.from(ahead, 'latin1'));
    expect(await readAll(socket)).toBe(`${latin1(5, 0)}${SUCCESS}${ahead}`);
  });

  it('of SOCKS4 that sends everything at once is served', async () => {
    const [proxy, server] = [await startProxy(), await echo()];
    const socket = await connectTo(proxy.port);
    socket.end(bytes(4, 1, ...port2(server), 127, 0, 0, 1, 'user', 0, 'hello'));
    expect(await readAll(socket)).toBe(latin1(0, 90, 0, 0, 0, 0, 0, 0, 'hello'));
  });

  it.each([
    ['BIND', bytes(5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80), latin1(5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0)],
    [
      'an unknown command',
      bytes(5, 1, 0, 5, 9, 0, 1, 127, 0, 0, 1, 0, 80),
      latin1(5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0),
    ],
    [
      'an unknown type of address',
      bytes(5, 1, 0, 5, 1, 0, 2, 127),
      latin1(5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0),
    ],
    ['port 0', bytes(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 0), latin1(5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0)],
    ['only GSSAPI', bytes(5, 1, 1), latin1(5, 255)],
    ['no method at all', bytes(5, 0), ''],
    ['a name that is none', bytes(5, 1, 0, 5, 1, 0, 3, 3, 'a b', 0, 80), latin1(5, 0)],
    ['HTTP behind the greeting', bytes(5, 1, 0, 'GET / HTTP/1.1'), latin1(5, 0)],
    ['SOCKS4 BIND', bytes(4, 2, 0, 80, 127, 0, 0, 1, 0), latin1(0, 91, 0, 0, 0, 0, 0, 0)],
    [
      'SOCKS4 with an endless user',
      Buffer.concat([bytes(4, 1, 0, 80, 127, 0, 0, 1), Buffer.alloc(70_000, 'x')]),
      '',
    ],
  ])('with %s is refused', async (_what, said, answer) => {
    const proxy = await startProxy();
    const socket = await connectTo(proxy.port);
    const answered = readAll(socket);
    socket.write(said);
    expect(await answered).toBe(answer);
    socket.destroy();
    await until(() => proxy.server.counters().refused === 1, 'the refusal to be counted');
    expect(proxy.server.counters().tunnelsOpened).toBe(0);
  });

  it.each([
    ['in its greeting', bytes(5)],
    ['in its request', bytes(5, 1, 0, 5, 1, 0)],
    ['in SOCKS4', bytes(4, 1, 0)],
  ])('that stops %s is given up', async (_what, said) => {
    const proxy = await startProxy({ headersTimeoutMs: 300 });
    const socket = await connectTo(proxy.port);
    socket.on('error', () => {});
    const ended = readAll(socket);
    socket.write(said);
    await ended;
    expect(proxy.server.counters().refusedByReason).toEqual({ 'header-timeout': 1 });
  });

  it('may not reach the proxy itself', async () => {
    const proxy = await startProxy();
    const socket = await connectTo(proxy.port);
    socket.write(Buffer.concat([GREETING, connectRequest(proxy.port)]));
    expect(await readAll(socket)).toBe(latin1(5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0));
  });

  it('over the limit of tunnels is told so', async () => {
    const [proxy, server] = [await startProxy({ maxTunnels: 1 }), await echo()];
    const kept = await openSocksTunnel(proxy.port, server);
    const socket = await connectTo(proxy.port);
    socket.write(Buffer.concat([GREETING, connectRequest(server)]));
    expect(await readAll(socket)).toBe(latin1(5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0));
    kept.destroy();
  });
});

it('one port speaks all of them, side by side', async () => {
  const web = await startHttpServer((_request, response) => response.end('ok'));
  const proxy = await startProxy();
  const at = `127.0.0.1:${proxy.port}`;
  const url = `http://127.0.0.1:${web}/`;
  const ways = [
    ['--socks5', at],
    ['--socks4a', at],
    ['-x', at],
    ['-p', '-x', at],
    ['-x', `socks5h://${at}`],
  ];
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => curl(...ways[i % ways.length]!, url)),
  );
  expect(answers.map(({ stdout }) => stdout)).toEqual(Array(20).fill('ok'));
  expect(proxy.server.counters()).toMatchObject({ tunnelsOpened: 16, requests: 4, refused: 0 });
});

it('noise and broken handshakes leave nothing open', { timeout: 60_000 }, async () => {
  const [proxy, server] = [await startProxy(), await echo()];
  const warm = await openSocksTunnel(proxy.port, server);
  warm.destroy();
  await until(() => proxy.server.counters().tunnelsOpen === 0, 'the first tunnel to be closed');
  const before = whatIsOpen();
  const wholes = [
    Buffer.concat([GREETING, connectRequest(server), Buffer.from('x')]),
    bytes(4, 1, ...port2(server), 127, 0, 0, 1, 0, 'x'),
    Buffer.concat([GREETING, bytes(5, 3, 0, 1, 0, 0, 0, 0, 0, 0)]),
  ];
  for (let i = 0; i < 600; i++) {
    const whole = Buffer.from(wholes[i % wholes.length]!);
    // Cut anywhere, or one byte changed.
    if (i % 2 === 0) whole[(i * 7) % whole.length] = (i * 31) & 0xff;
    const socket = await connectTo(proxy.port);
    socket.on('error', () => {});
    socket.resume();
    socket.write(i % 2 === 0 ? whole : whole.subarray(0, (i * 5) % (whole.length + 1)));
    if (i % 3 === 0) socket.resetAndDestroy();
    else if (i % 3 === 1) socket.end();
    else setImmediate(() => socket.destroy());
  }
  await until(() => proxy.server.counters().tunnelsOpen === 0, 'all tunnels to be closed');
  await until(() => whatIsOpen().fds <= before.fds, 'descriptors to be closed');
  (await openSocksTunnel(proxy.port, server)).destroy();
});
