/**
 * Proxies of others as upstream proxies: HTTP with and without a user, SOCKS5, HTTPS, and those that misbehave.
 *
 *   client ── proxy ── upstream proxy ── destination      all on loopback
 */
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, type ProxyPolicy, type UpstreamProxy } from '../src/proxy/index.ts';
import { hashPassword } from '../src/proxy/users-verifier.ts';
import {
  cleanUp,
  connectRequest,
  connectTo,
  exchange,
  openTunnel,
  readAll,
  readUntil,
  startEcho,
  startHttpServer,
  startProxy,
  startTcpServer,
  until,
} from './proxy-support.ts';
import { farUpstream, NotedLog, policyThrough, startFar, startProxyThrough } from './support/far-pair.ts';

afterEach(cleanUp);

const upstreamAt = (port: number, more: Partial<UpstreamProxy> = {}): UpstreamProxy => ({
  name: 'office',
  kind: 'http',
  host: '127.0.0.1',
  port,
  ...more,
});

/** Everything that a client sends comes back, and then the end. */
async function echoes(proxyPort: number, target: number): Promise<boolean> {
  const socket = await openTunnel(proxyPort, target);
  const text = 'x'.repeat(300_000);
  const back = readAll(socket);
  socket.end(text);
  return (await back) === text;
}

describe.each(['http', 'socks5'] as const)('a proxy that speaks %s', (kind) => {
  it('carries a tunnel, in the relay thread', async () => {
    const echo = await startEcho();
    const office = await startProxy();
    const { server, port } = await startProxyThrough(upstreamAt(office.port, { kind }));
    expect(await echoes(port, echo)).toBe(true);
    expect(office.server.counters()).toMatchObject({ tunnelsOpened: 1 });
    await until(() => server.counters().tunnelsClosed === 1, 'the tunnel to end');
    expect(server.counters().bytesDown).toBe(300_000);
  });

  it('knows its users', async () => {
    const echo = await startEcho();
    const users = new Map([['ann', { password: await hashPassword('geheim: ü') }]]);
    const office = await startProxy({}, { policy: { ...DEFAULT_POLICY, users } });
    const known = { kind, user: 'ann', password: 'geheim: ü' };
    const { port } = await startProxyThrough(upstreamAt(office.port, known));
    expect(await echoes(port, echo)).toBe(true);
    const log = new NotedLog();
    for (const more of [{ kind }, { kind, user: 'ann', password: 'falsch!' }]) {
      const wrong = await startProxyThrough(upstreamAt(office.port, more), log);
      const answer = await exchange(wrong.port, connectRequest(echo));
      expect(answer).toMatch(/^HTTP\/1\.1 502 .*office/s);
      expect(answer + log.lines.join()).not.toMatch(/falsch|geheim/);
    }
  });

  it('says why it could not', async () => {
    const office = await startProxy();
    const { port } = await startProxyThrough(upstreamAt(office.port, { kind }));
    expect(await exchange(port, connectRequest(1))).toMatch(/^HTTP\/1\.1 502 .*upstream proxy "office"/s);
  });
});

it('plain HTTP goes through as a tunnel', async () => {
  const page = await startHttpServer((request, response) => {
    response.end(`${request.url} ${request.headers['proxy-authorization'] ?? 'none'}`);
  });
  const office = await startProxy();
  const { port } = await startProxyThrough(upstreamAt(office.port));
  const answer = await exchange(
    port,
    `GET http://127.0.0.1:${page}/path HTTP/1.1\r\nHost: 127.0.0.1:${page}\r\nConnection: close\r\n\r\n`,
  );
  expect(answer).toMatch(/\/path none$/m);
  expect(office.server.counters()).toMatchObject({ tunnelsOpened: 1, requests: 0 });
});

it('plain HTTP through a far end, several requests on one tunnel', async () => {
  const page = await startHttpServer((request, response) => response.end(`<${request.url}>`));
  const far = await startFar();
  const { port } = await startProxyThrough(farUpstream(far.port, far.token));
  for (const path of ['/a', '/b', '/c']) {
    const asked = `GET http://127.0.0.1:${page}${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
    expect(await exchange(port, asked)).toContain(`<${path}>`);
  }
  expect(far.server.counters().tunnelsOpened).toBeGreaterThanOrEqual(1);
});

describe('an upstream proxy that misbehaves', () => {
  const answerWith = (text: string) =>
    startTcpServer((socket) => {
      socket.once('data', () => socket.end(text));
    });

  it.each([
    ['says nothing and closes', '', /closed the connection without an answer/],
    ['speaks another protocol', 'SSH-2.0-x\r\n', /did not answer as an HTTP proxy does/],
    ['stops in its header', 'HTTP/1.1 200 OK\r\nVia', /closed the connection without an answer/],
    ['wants a password', 'HTTP/1.1 407 No\r\n\r\n', /wants a user and a password/],
  ])('%s', async (_what, answer, why) => {
    const { port } = await startProxyThrough(upstreamAt(await answerWith(answer)));
    const told = await exchange(port, connectRequest(1));
    expect(told).toMatch(/^HTTP\/1\.1 502 /);
    expect(told).toMatch(why);
  });

  it('never answers: 504 in time, and nothing is left', async () => {
    const asked: Socket[] = [];
    const silent = await startTcpServer((socket) => void asked.push(socket.resume()));
    const { port } = await startProxy(
      { connectTimeoutMs: 300 },
      { policy: policyThrough(upstreamAt(silent)) },
    );
    expect(await exchange(port, connectRequest(1))).toMatch(/^HTTP\/1\.1 504 .*office/s);
    await until(() => asked.every((socket) => socket.readableEnded || socket.destroyed), 'it to be closed');
  });

  it('is not there: 502 that names it; there again: used again', async () => {
    const echo = await startEcho();
    const first = await startFar();
    const upstream = farUpstream(first.port, first.token);
    const log = new NotedLog();
    const { server, port } = await startProxyThrough(upstream, log);
    expect(await echoes(port, echo)).toBe(true);
    await first.server.stop();
    await until(() => server.upstreamHealth()[0]?.state === 'down', 'the loss to be noticed');
    expect(await exchange(port, connectRequest(echo))).toMatch(/^HTTP\/1\.1 502 .*vps/s);
    await startFar({
      listen: [{ address: '127.0.0.1', port: first.port }],
      access: { tokens: [{ name: 'laptop', token: first.token }] },
    });
    expect(await echoes(port, echo)).toBe(true);
    expect(server.upstreamHealth()).toMatchObject([{ name: 'vps', state: 'up' }]);
    expect(log.lines.filter((line) => line.startsWith('warn')).length).toBeGreaterThan(0);
    expect(log.lines.filter((line) => / is back /.test(line)).length).toBe(1);
  });
});

/** A wire to a port; what it carried until `cut` was called dies at the next byte, or says nothing more. */
async function startWire(port: number): Promise<{ port: number; cut: (how: 'end' | 'silence') => void }> {
  const carried: { how?: 'end' | 'silence' }[] = [];
  const wire = await startTcpServer((socket) => {
    const state: { how?: 'end' | 'silence' } = {};
    carried.push(state);
    void connectTo(port).then((onward) => {
      socket.on('data', (chunk: Buffer) => {
        if (state.how === 'end') socket.destroy();
        else if (state.how === undefined) onward.write(chunk);
      });
      onward.on('data', (chunk: Buffer) => void (state.how === undefined && socket.write(chunk)));
      socket.once('close', () => onward.destroy());
    });
  });
  const cut = (how: 'end' | 'silence') => {
    for (const state of carried) state.how ??= how;
  };
  return { port: wire, cut };
}

it.each(['end', 'silence'] as const)(
  'connections that died while they waited (%s) cost no tunnel',
  async (how) => {
    const echo = await startEcho();
    const far = await startFar();
    const wire = await startWire(far.port);
    const { server, port } = await startProxyThrough(farUpstream(wire.port, far.token));
    await until(() => (server.upstreamHealth()[0]?.ready ?? 0) >= 4, 'connections to wait');
    wire.cut(how);
    expect(await echoes(port, echo)).toBe(true);
    expect(await echoes(port, echo)).toBe(true);
    expect(server.counters()).toMatchObject({ dialsFailed: 0 });
  },
);

it('other rules: what waits at the old proxy goes, its tunnels go on', async () => {
  const echo = await startEcho();
  const [one, two] = [await startFar(), await startFar()];
  const { server, port } = await startProxyThrough(farUpstream(one.port, one.token));
  const tunnel = await openTunnel(port, echo);
  await until(() => one.server.counters().connectionsOpen > 2, 'connections to wait');
  const policy: ProxyPolicy = policyThrough(farUpstream(two.port, two.token));
  server.setPolicy(policy);
  await until(() => one.server.counters().connectionsOpen === 1, 'what waited to go');
  tunnel.write('still');
  expect(await readUntil(tunnel, (text) => text === 'still')).toBe('still');
  expect(await echoes(port, echo)).toBe(true);
  expect(two.server.counters()).toMatchObject({ tunnelsOpened: 1 });
});
