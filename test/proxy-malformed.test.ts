/**
 * What a proxy must not pass on: ambiguous framing (request smuggling), malformed and giant headers, headers that
 * never end. Each form is sent as bytes; the origin counts what reaches it.
 */
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  cleanUp,
  connectTo,
  exchange,
  readAll,
  startProxy,
  startTcpServer,
  type StartedProxy,
} from './proxy-support.ts';

let proxy: StartedProxy;
let origin = 0;
let reached = '';

beforeEach(async () => {
  reached = '';
  origin = await startTcpServer((socket) => {
    socket.on('data', (chunk: Buffer) => {
      reached += chunk.toString('latin1');
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nreached');
    });
  });
  proxy = await startProxy({ headersTimeoutMs: 400, keepAliveTimeoutMs: 300, exchangeIdleTimeoutMs: 400 });
});
afterEach(cleanUp);

const line = (method: string, version = '1.1') => `${method} http://127.0.0.1:${origin}/ HTTP/${version}\r\n`;
const get = (...fields: string[]) => `${line('GET')}Host: a\r\n${fields.join('')}\r\n`;
const post = (fields: string, body = '') => `${line('POST')}Host: a\r\n${fields}\r\n${body}`;
const chunked = 'Transfer-Encoding: chunked\r\n';

type Form = readonly [name: string, status: number, bytes: () => string];

const REFUSED: readonly Form[] = [
  // Two ways to find the end of a body.
  ['Content-Length and Transfer-Encoding', 400, () => post(`Content-Length: 5\r\n${chunked}`, '0\r\n\r\n')],
  ['Transfer-Encoding and Content-Length', 400, () => post(`${chunked}Content-Length: 5\r\n`, '0\r\n\r\n')],
  ['equal Content-Lengths', 400, () => post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello')],
  ['different Content-Lengths', 400, () => post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello')],
  ['a list of Content-Lengths', 400, () => post('Content-Length: 5, 5\r\n', 'hello')],
  ['a signed Content-Length', 400, () => post('Content-Length: +5\r\n', 'hello')],
  ['a hexadecimal Content-Length', 400, () => post('Content-Length: 0x5\r\n', 'hello')],
  ['an empty Content-Length', 400, () => post('Content-Length:\r\n', 'hello')],
  [
    'a Content-Length beyond all bounds',
    400,
    () => post('Content-Length: 99999999999999999999999\r\n', 'hello'),
  ],
  ['Transfer-Encoding: xchunked', 400, () => post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
  ['Transfer-Encoding: identity', 400, () => post('Transfer-Encoding: identity\r\n', '0\r\n\r\n')],
  ['chunked not last', 400, () => post('Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n')],
  ['chunked twice', 400, () => post(`${chunked}${chunked}`, '0\r\n\r\n')],
  ['a vertical tab before chunked', 400, () => post('Transfer-Encoding: \vchunked\r\n', '0\r\n\r\n')],
  ['a quoted chunked', 400, () => post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n')],
  ['Transfer-Encoding folded', 400, () => post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n')],
  ['Transfer-Encoding in HTTP/1.0', 400, () => `${line('POST', '1.0')}Host: a\r\n${chunked}\r\n0\r\n\r\n`],
  ['a coding that is not known', 501, () => post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
  // Lines and fields.
  ['a bare CR in a value', 400, () => get('X: a\rb\r\n')],
  ['a bare CR before the end', 400, () => get('X: a\r\n\rX: b\r\n')],
  [
    'a bare CR after the request line',
    400,
    () => `GET http://127.0.0.1:${origin}/ HTTP/1.1\rHost: a\r\n\r\n`,
  ],
  ['bare LFs', 400, () => `GET http://127.0.0.1:${origin}/ HTTP/1.1\nHost: a\n\n`],
  ['a bare LF between fields', 400, () => get('X: a\nY: b\r\n')],
  ['a folded field', 400, () => get('X: a\r\n b\r\n')],
  ['a space before the colon', 400, () => get('X : a\r\n')],
  ['a space before the colon of Content-Length', 400, () => post('Content-Length : 5\r\n', 'hello')],
  [
    'a tab before the colon of Transfer-Encoding',
    400,
    () => post('Transfer-Encoding\t: chunked\r\n', '0\r\n\r\n'),
  ],
  ['a field without colon', 400, () => get('X\r\n')],
  ['a field without name', 400, () => get(': x\r\n')],
  ['a NUL in a value', 400, () => get('X: a\0b\r\n')],
  ['a NUL in a name', 400, () => get('X\0: ab\r\n')],
  ['a space in the target', 400, () => `GET http://127.0.0.1:${origin}/a b HTTP/1.1\r\nHost: a\r\n\r\n`],
  ['an unknown method', 400, () => `${line('FOO')}Host: a\r\n\r\n`],
  ['a lower-case method', 400, () => `${line('get')}Host: a\r\n\r\n`],
  ['no Host', 400, () => `${line('GET')}\r\n`],
  ['two Hosts', 400, () => get('Host: b\r\n')],
  ['HTTP/1.2', 400, () => `${line('GET', '1.2')}Host: a\r\n\r\n`],
  ['HTTP/2.0', 505, () => `${line('GET', '2.0')}Host: a\r\n\r\n`],
  ['HTTP/0.9', 505, () => `GET http://127.0.0.1:${origin}/\r\n\r\n`],
  ['the preface of HTTP/2', 400, () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['TLS instead of HTTP', 400, () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  // Targets.
  ['a path', 400, () => 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['https without CONNECT', 400, () => 'GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a user in the target', 400, () => `GET http://u:p@127.0.0.1:${origin}/ HTTP/1.1\r\nHost: a\r\n\r\n`],
  // CONNECT.
  ['CONNECT without port', 400, () => 'CONNECT 127.0.0.1 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['CONNECT with a URL', 400, () => `CONNECT http://127.0.0.1:${origin}/ HTTP/1.1\r\nHost: a\r\n\r\n`],
  [
    'CONNECT with a body',
    400,
    () => `CONNECT 127.0.0.1:${origin} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`,
  ],
  [
    'CONNECT with chunks',
    400,
    () => `CONNECT 127.0.0.1:${origin} HTTP/1.1\r\nHost: a\r\n${chunked}\r\n0\r\n\r\n`,
  ],
  // Size.
  ['a giant field', 431, () => get(`X: ${'a'.repeat(200_000)}\r\n`)],
  [
    'a giant target',
    431,
    () => `GET http://127.0.0.1:${origin}/${'a'.repeat(200_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  ],
  ['very many fields', 431, () => get('a: b\r\n'.repeat(30_000))],
];

describe('is refused, and reaches nobody', () => {
  it.each(REFUSED)('%s: %i', async (_name, status, bytes) => {
    const answer = await exchange(proxy.port, bytes());
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/\r\nConnection: close\r\n/i);
    expect(answer).toMatch(/\r\n\r\nweft: .+\n$/);
    expect(reached).toBe('');
    expect(proxy.server.counters().refused).toBe(1);
  });

  it.each([
    ['the parser refused', () => post(`Content-Length: 5\r\n${chunked}`, '0\r\n\r\n')],
    ['we refused', () => get('Host: b\r\n')],
    ['has no whole target', () => 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ])('what stands behind a request that %s', async (_name, refused) => {
    const hidden = `GET http://127.0.0.1:${origin}/hidden HTTP/1.1\r\nHost: a\r\n\r\n`;
    const answer = await exchange(proxy.port, `${refused()}${hidden}`);
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(reached).toBe('');
  });
});

describe('a bad body', () => {
  const BODIES: readonly (readonly [string, string])[] = [
    ['a negative size', '-1\r\n\r\n'],
    ['a size beyond all bounds', 'fffffffffffffffff\r\n\r\n'],
    ['0x', '0x1\r\na\r\n0\r\n\r\n'],
    ['a space after the size', '1 \r\na\r\n0\r\n\r\n'],
    ['a bare LF after the size', '1\na\r\n0\r\n\r\n'],
    ['a bare LF after the data', '1\r\na\n0\r\n\r\n'],
    ['a bare LF in an extension', '1;a\nb\r\na\r\n0\r\n\r\n'],
    ['more data than the size says', '1\r\nab\r\n0\r\n\r\n'],
    ['Content-Length in the trailers', '1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n'],
    ['Transfer-Encoding in the trailers', '1\r\na\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ];

  it.each(BODIES)('of chunks with %s ends both connections', async (_name, body) => {
    let upstream: Socket | undefined;
    let request = '';
    const waiting = await startTcpServer((socket) => {
      upstream = socket;
      socket.on('data', (chunk: Buffer) => {
        request += chunk.toString('latin1');
      });
    });
    const bytes = `POST http://127.0.0.1:${waiting}/ HTTP/1.1\r\nHost: a\r\n${chunked}\r\n${body}`;
    const answer = await exchange(proxy.port, bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    // The origin may have seen the begin of it, but never an end.
    if (upstream !== undefined && !upstream.destroyed) await readAll(upstream);
    expect(request).not.toMatch(/\r\n0\r\n/);
  });
});

describe('slow clients', () => {
  it.each([
    ['silence', ''],
    ['a request line that never ends', 'GET http://127.0.0.1'],
    ['fields that never end', 'GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nX:'],
  ])('%s: 408', async (_name, bytes) => {
    expect(await exchange(proxy.port, bytes)).toMatch(
      /^HTTP\/1\.1 408 [^]*weft: no whole request came within 0\.4 s\n$/,
    );
    expect(proxy.server.counters().refusedByReason).toEqual({ 'header-timeout': 1 });
  });

  it('does not wait for one that sends a byte now and then', async () => {
    const socket = await connectTo(proxy.port);
    const answer = readAll(socket);
    socket.write('GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\n');
    const drip = setInterval(() => socket.write('X: y\r\n'), 20);
    expect(await answer).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(drip);
  });

  it('gives up a body that stops coming: 408', async () => {
    const silent = await startTcpServer(() => {});
    const answer = await exchange(
      proxy.port,
      `POST http://127.0.0.1:${silent}/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 408 [^]*weft: the request's body stopped coming for 0\.4 s\n$/);
  });

  it('closes a connection that stays idle between requests', async () => {
    const answer = await exchange(proxy.port, `${line('HEAD')}Host: a\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });
});
