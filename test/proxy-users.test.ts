/**
 * Users and limits at the proxy's front door, by curl and by raw bytes, HTTP and SOCKS.
 *
 *   curl ── proxy (user "ann", password "correct horse") ── test's web server          all on loopback
 */
import { execFile } from 'node:child_process';
import { scryptSync } from 'node:crypto';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, type ClientLimits, type ProxyPolicy } from '../src/proxy/index.ts';
import {
  cleanUp,
  connectTo,
  exchange,
  openTunnel,
  readAll,
  readUntil,
  startHttpServer,
  startProxy,
  startTcpServer,
  until,
} from './proxy-support.ts';

afterEach(cleanUp);

const run = promisify(execFile);

/** As cheap to check as is allowed, so that many checks are quick. */
function verifier(password: string): string {
  const salt = Buffer.alloc(16, 7);
  const bare = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '');
  return `$scrypt$ln=10,r=1,p=1$${bare(salt)}$${bare(scryptSync(password, salt, 32, { N: 1024, r: 1, p: 1 }))}`;
}

const ANN = 'ann:correct horse';
const withUsers: ProxyPolicy = {
  ...DEFAULT_POLICY,
  users: new Map([
    ['ann', { password: verifier('correct horse') }],
    ['bob', { password: verifier('battery staple') }],
  ]),
};
const withLimits = (limits: ClientLimits): ProxyPolicy => ({ ...DEFAULT_POLICY, limits });
const basic = (user: string) => `Basic ${Buffer.from(user).toString('base64')}`;
const bytes = (...parts: (number | string)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));
const latin1 = (...parts: (number | string)[]) => bytes(...parts).toString('latin1');

/** Exit code, status of the proxy's answer to CONNECT, and status of the last answer. */
async function curl(...args: string[]): Promise<string> {
  const format = '%{exitcode} %{http_connect} %{http_code}';
  const fixed = ['-s', '--noproxy', '', '--max-time', '20', '-o', '/dev/null', '-w', format];
  try {
    return (await run('curl', [...fixed, ...args])).stdout;
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

describe('users', () => {
  const origin = async () => {
    const seen: string[] = [];
    const port = await startHttpServer((request, response) => {
      seen.push(...request.rawHeaders);
      response.end('ok');
    });
    return { port, seen };
  };

  it.each([
    ['plain HTTP', ['-x'], '0 000 200', '0 000 407'],
    ['CONNECT', ['-p', '-x'], '0 200 200', '56 407 000'],
    ['SOCKS5', ['--socks5'], '0 000 200', '97 000 000'],
    ['SOCKS5 with names', ['--socks5-hostname'], '0 000 200', '97 000 000'],
  ])('%s: known by their password, and by nothing else', async (_what, how, good, bad) => {
    const web = await origin();
    const proxy = await startProxy({}, { policy: withUsers });
    const url = `http://127.0.0.1:${web.port}/`;
    const via = [...how, `127.0.0.1:${proxy.port}`];
    expect(await curl(...via, '-U', ANN, url)).toBe(good);
    expect(await curl(...via, '-U', 'ann:wrong', url)).toBe(bad);
    expect(await curl(...via, '-U', 'nobody:correct horse', url)).toBe(bad);
    expect(await curl(...via, '-U', 'bob:correct horse', url)).toBe(bad);
    expect(await curl(...via, '-U', 'ann:', url)).toBe(bad);
    expect(await curl(...via, url)).toBe(bad);
    expect(await curl(...via, '-U', 'bob:battery staple', url)).toBe(good);
    const { refusedByReason } = proxy.server.counters();
    expect(refusedByReason).toEqual({ 'user-wrong': 4, 'user-missing': 1 });
    // What was told to the proxy stays there.
    expect(web.seen.join('\n').toLowerCase()).not.toMatch(/proxy-auth|basic /);
  });

  it('are asked for in words that programs understand', async () => {
    const proxy = await startProxy({}, { policy: withUsers });
    for (const request of ['GET http://127.0.0.1:1/ HTTP/1.1', 'CONNECT 127.0.0.1:1 HTTP/1.1']) {
      const answer = await exchange(proxy.port, `${request}\r\nHost: a\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 407 Proxy Authentication Required\r\n/);
      expect(answer).toContain('\r\nProxy-Authenticate: Basic realm="weft", charset="UTF-8"\r\n');
      expect(answer).toContain('\r\nConnection: close\r\n');
    }
    // Two, one of them right, are none.
    const twice = `Proxy-Authorization: ${basic(ANN)}\r\nProxy-Authorization: ${basic('x:y')}\r\n`;
    expect(await exchange(proxy.port, `CONNECT 127.0.0.1:1 HTTP/1.1\r\n${twice}\r\n`)).toMatch(/ 407 /);
  });

  it('are named where connections are listed', async () => {
    const server = await startTcpServer((socket) => void socket.pipe(socket));
    const proxy = await startProxy({}, { policy: withUsers });
    const socket = await connectTo(proxy.port);
    socket.write(`CONNECT 127.0.0.1:${server} HTTP/1.1\r\nProxy-Authorization: ${basic(ANN)}\r\n\r\n`);
    await readUntil(socket, (text) => text.endsWith('\r\n\r\n'));
    expect(proxy.server.connections()).toMatchObject([{ kind: 'connect', user: 'ann' }]);
    expect(JSON.stringify(proxy.server.connections())).not.toContain('horse');
  });

  it('cannot be told by SOCKS4', async () => {
    const proxy = await startProxy({}, { policy: withUsers });
    const socket = await connectTo(proxy.port);
    socket.write(bytes(4, 1, 0, 1, 127, 0, 0, 1, 'ann', 0));
    expect(await readAll(socket)).toBe(latin1(0, 91, 0, 0, 0, 0, 0, 0));
  });

  it('of SOCKS5 who name none are turned away before they ask', async () => {
    const proxy = await startProxy({}, { policy: withUsers });
    const socket = await connectTo(proxy.port);
    socket.write(bytes(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 1));
    expect(await readAll(socket)).toBe(latin1(5, 255));
  });

  it('who guess are slowed', async () => {
    const proxy = await startProxy({}, { policy: withUsers });
    const ask = async (password: string) => {
      const field = `Proxy-Authorization: ${basic(`ann:${password}`)}`;
      return await exchange(proxy.port, `GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`);
    };
    for (let i = 0; i < 10; i++) expect(await ask(`guess ${i}`)).toMatch(/^HTTP\/1\.1 407 /);
    const slowed = await ask('guess 10');
    expect(slowed).toMatch(/^HTTP\/1\.1 429 /);
    expect(slowed).toMatch(/\r\nRetry-After: [1-6]\r\n/);
    expect(slowed).not.toContain('Proxy-Authenticate');
    expect(proxy.server.counters().refusedByReason).toEqual({ 'user-wrong': 10, 'user-slowed': 1 });
  });

  it('come and go with the policy, and open tunnels stay', async () => {
    const server = await startTcpServer((socket) => void socket.pipe(socket));
    const proxy = await startProxy();
    const open = await openTunnel(proxy.port, server);
    proxy.server.setPolicy(withUsers);
    await expect(openTunnel(proxy.port, server)).rejects.toThrow('407');
    open.write('still here');
    expect(await readUntil(open, (text) => text.endsWith('here'))).toBe('still here');
    proxy.server.setPolicy(DEFAULT_POLICY);
    (await openTunnel(proxy.port, server)).destroy();
  });

  it('pipelined behind one who is not, are not served', async () => {
    const web = await origin();
    const proxy = await startProxy({}, { policy: withUsers });
    const get = `GET http://127.0.0.1:${web.port}/ HTTP/1.1\r\nHost: a\r\n`;
    const first = `${get}Proxy-Authorization: ${basic('ann:never seen')}\r\n\r\n`;
    const second = `${get}Proxy-Authorization: ${basic(ANN)}\r\n\r\n`;
    const answer = await exchange(proxy.port, `${first}${second}`);
    expect(answer.match(/^HTTP\/1\.1 \d+/gm)?.[0]).toBe('HTTP/1.1 407');
  });
});

describe('limits of each client', () => {
  const echo = () => startTcpServer((socket) => void socket.pipe(socket));

  it('tunnels: another one only when one has ended', async () => {
    const server = await echo();
    const proxy = await startProxy({}, { policy: withLimits({ tunnels: 2 }) });
    const tunnels: Socket[] = [await openTunnel(proxy.port, server), await openTunnel(proxy.port, server)];
    const third = await exchange(proxy.port, `CONNECT 127.0.0.1:${server} HTTP/1.1\r\n\r\n`);
    expect(third).toMatch(/^HTTP\/1\.1 503 [^]*127\.0\.0\.1 has 2 tunnels open/);
    const socks = await connectTo(proxy.port);
    socks.write(bytes(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, server >> 8, server & 0xff));
    expect(await readAll(socks)).toBe(latin1(5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0));
    tunnels[0]!.destroy();
    await until(() => proxy.server.counters().tunnelsOpen === 1, 'the end of one');
    (await openTunnel(proxy.port, server)).destroy();
    // What cannot be reached counts only while it is tried.
    await until(() => proxy.server.counters().tunnelsOpen === 1, 'the end of another');
    for (let i = 0; i < 5; i++) await expect(openTunnel(proxy.port, 1)).rejects.toThrow('502');
    expect(proxy.server.counters().refusedByReason).toEqual({ 'client-limit': 2 });
  });

  it('connections: more are told and closed', async () => {
    const proxy = await startProxy({}, { policy: withLimits({ connections: 2 }) });
    const kept = [await connectTo(proxy.port), await connectTo(proxy.port)];
    await until(() => proxy.server.counters().clientConnections === 2, 'both to be accepted');
    const answer = await readAll(await connectTo(proxy.port));
    expect(answer).toMatch(/^HTTP\/1\.1 503 [^]*has 2 connections open/);
    kept[0]!.destroy();
    const answered = async () => {
      const text = await exchange(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      return text.startsWith('HTTP/1.1 400 ');
    };
    let ok = false;
    for (let i = 0; i < 1000 && !ok; i++) ok = await answered();
    expect(ok).toBe(true);
  });

  it('new ones a second', async () => {
    const web = await startHttpServer((_request, response) => response.end('ok'));
    const proxy = await startProxy({}, { policy: withLimits({ newPerSecond: 3 }) });
    const request = `GET http://127.0.0.1:${web}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
    const statuses = await Promise.all(
      Array.from({ length: 200 }, async () => (await exchange(proxy.port, request)).slice(9, 12)),
    );
    expect(statuses).toContain('200');
    expect(statuses).toContain('429');
    expect(new Set(statuses)).toEqual(new Set(['200', '429']));
  });
});
