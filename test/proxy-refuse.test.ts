/**
 * What the rules refuse is refused however it is named: disguised addresses, names that lead there, every protocol of
 * the proxy's port.
 *
 *   client ── proxy (rules) ── TCP ── a server        all on loopback
 */
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, type ProxyPolicy, type ProxyRule } from '../src/proxy/index.ts';
import {
  cleanUp,
  connectRequest,
  connectTo,
  exchange,
  onCleanup,
  openTunnel,
  readAll,
  startProxy,
  until,
} from './proxy-support.ts';

afterEach(cleanUp);

const LOOPBACK = [
  { address: '127.0.0.0', length: 8 },
  { address: '::1', length: 128 },
];
const policyOf = (...rules: ProxyRule[]): { policy: ProxyPolicy } => ({
  policy: { ...DEFAULT_POLICY, rules },
});
const refuse = (reason: string, to: NonNullable<ProxyRule['to']>): ProxyRule => ({
  to,
  way: { kind: 'refuse', reason },
});
const toPrefixes = (prefixes: typeof LOOPBACK) => ({ names: [], prefixes });

let port = 0;
let contacts = 0;
beforeEach(async () => {
  contacts = 0;
  const server = createServer((socket) => {
    contacts++;
    socket.on('error', () => {});
    socket.end('secret');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => void server.close());
  port = (server.address() as AddressInfo).port;
});

const plainRequest = (authority: string) =>
  `GET http://${authority}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

describe('a refused prefix', () => {
  const NAMES = [
    '127.0.0.1',
    '127.0.0.2',
    '127.1',
    '0x7f000001',
    '0177.0.0.1',
    '2130706433',
    '0.0.0.0',
    '0',
    '[::ffff:127.0.0.1]',
    '[::ffff:0.0.0.0]',
    '[::1]',
    '[::]',
    'localhost',
    'LOCALHOST.',
  ];

  it.each(NAMES)('is not reached as %s', async (host) => {
    const proxy = await startProxy({}, policyOf(refuse('not here', toPrefixes(LOOPBACK))));
    for (const request of [connectRequest, plainRequest]) {
      const answer = await exchange(proxy.port, request(`${host}:${port}`));
      // A resolver may not know all of these forms; then there is nowhere to go.
      expect(answer).toMatch(/^HTTP\/1\.1 (403|502|400) /);
      if (answer.startsWith('HTTP/1.1 403')) {
        expect(answer).toContain('a rule of this proxy refuses it (not here)');
      }
    }
    expect(contacts).toBe(0);
  });

  it('is not reached by SOCKS, by address or name', async () => {
    const proxy = await startProxy({}, policyOf(refuse('not here', toPrefixes(LOOPBACK))));
    const end = [port >> 8, port & 0xff];
    const name = Buffer.from('localhost');
    for (const destination of [
      [1, 127, 0, 0, 1],
      [3, name.length, ...name],
      [4, ...Array.from({ length: 10 }, () => 0), 0xff, 0xff, 127, 0, 0, 1],
    ]) {
      const socket = await connectTo(proxy.port);
      const answer = readAll(socket);
      socket.write(Buffer.from([5, 1, 0, 5, 1, 0, ...destination, ...end]));
      // RFC 1928: 2, not allowed by ruleset.
      expect(Buffer.from(await answer, 'latin1').subarray(0, 4)).toEqual(Buffer.from([5, 0, 5, 2]));
    }
    expect(contacts).toBe(0);
    expect(proxy.server.counters().dialsFailedByReason).toEqual({ policy: 3 });
  });
});

describe('a refused name', () => {
  it('is refused without asking the name servers, in any spelling', async () => {
    const to = { names: [{ name: 'no.such.test', subdomains: true }], prefixes: [] };
    const proxy = await startProxy({}, policyOf(refuse('closed', to)));
    for (const host of ['a.no.such.test', 'A.No.Such.Test.', 'b.a.no.such.test']) {
      expect(await exchange(proxy.port, connectRequest(`${host}:443`))).toMatch(/^HTTP\/1\.1 403 /);
    }
    expect(proxy.server.counters().dialsFailedByReason).toEqual({ policy: 3 });
  });

  it('may still be reached by its address: the rule says so only of the name', async () => {
    const to = { names: [{ name: 'localhost', subdomains: false }], prefixes: [] };
    const proxy = await startProxy({}, policyOf(refuse('closed', to)));
    expect(await exchange(proxy.port, connectRequest(`localhost:${port}`))).toMatch(/^HTTP\/1\.1 403 /);
    expect(await readAll(await openTunnel(proxy.port, port))).toBe('secret');
  });
});

it('a connection that one client may use is not given to one that may not', async () => {
  const allowed: ProxyRule = { from: [{ address: '127.0.0.1', length: 32 }], way: { kind: 'direct' } };
  const origin = createHttpServer((_request, response) => response.end('page'));
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  onCleanup(() => {
    origin.closeAllConnections();
    origin.close();
  });
  const originPort = (origin.address() as AddressInfo).port;
  const proxy = await startProxy({}, policyOf(allowed, { way: { kind: 'refuse' } }));
  const ask = async (localAddress: string) => {
    const socket = connect({ port: proxy.port, host: '127.0.0.1', localAddress });
    onCleanup(() => void socket.destroy());
    const answer = readAll(socket);
    socket.write(plainRequest(`127.0.0.1:${originPort}`));
    return answer;
  };
  expect(await ask('127.0.0.1')).toMatch(/^HTTP\/1\.1 200 /);
  await until(() => proxy.server.connections().length === 1, 'a kept connection');
  expect(await ask('127.0.0.2')).toMatch(/^HTTP\/1\.1 403 /);
  expect(await ask('127.0.0.1')).toMatch(/^HTTP\/1\.1 200 /);
});
