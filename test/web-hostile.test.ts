/**
 * The page's server against broken clients and floods, over real sockets: what no honest client sends, and what would
 * hold it up. Nothing of it is left afterwards. Who may ask: web-server.test.ts.
 */
import type { Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { STREAMS_MAX } from '../src/web/handler.ts';
import { countSockets, JSON_BODY, SOON, useWebPlace } from './support/web-place.ts';
import { open, readAll, readAnswer, request, sendRaw } from './support/web-raw.ts';

const place = useWebPlace();
const { ask, host, port, signIn, start, token } = place;

const EVIL = 'evil.example';

describe('what no honest client sends', () => {
  const asked = (lines: readonly string[], body = '') =>
    sendRaw(port(), `${lines.join('\r\n')}\r\n\r\n${body}`);

  it.each([
    '/../secret',
    '/..%2fsecret',
    '/%2e%2e/secret',
    '/page.js/../../secret',
    '//secret',
    '/\\..\\secret',
    '/secret%00.js',
    '/page.js%00',
    '/%',
    '/page%2ejs',
    `http://127.0.0.1/`,
    `http://${EVIL}/`,
    '*',
  ])('finds no other file by %s', async (target) => {
    const { body, status } = await ask('GET', target, { Cookie: await signIn() });
    expect(status).toBe(400);
    expect(body).not.toContain('a secret');
  });

  it('finds no file that is none of the page', async () => {
    const Cookie = await signIn();
    for (const target of ['/secret', '/index.html/', '/page', '/__proto__', '/constructor', '/v1/__proto__'])
      expect((await ask('GET', target, { Cookie })).status, target).toBe(404);
  });

  it('is no second request: two lengths, a length and chunks, half a line end', async () => {
    const common = [
      'POST /v1/change HTTP/1.1',
      `Host: ${host()}`,
      `Authorization: Bearer ${token()}`,
      'Content-Type: application/json',
    ];
    const hidden = `POST /v1/change HTTP/1.1\r\nHost: ${host()}\r\nAuthorization: Bearer ${token()}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]`;
    const forms = [
      ['Content-Length: 2', 'Content-Length: 3'],
      ['Content-Length: 2', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked', 'Content-Length: 2'],
      ['Transfer-Encoding: chunked, identity'],
      ['Transfer-Encoding: xchunked'],
      ['Transfer-Encoding : chunked'],
      ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
      ['Content-Length: 0x2'],
      ['Content-Length: 2', ' Content-Length: 3'],
      ['Content-Length: 2\nX: y'],
      ['X: a\0b', 'Content-Length: 2'],
    ];
    for (const form of forms) {
      const answer = await asked([...common, ...form], `0\r\n\r\n${hidden}`);
      expect(answer.status, JSON.stringify(form)).toBe(400);
      // Nothing of what came after was read as a request.
      expect(answer.text.match(/HTTP\/1\.1/g), JSON.stringify(form)).toHaveLength(1);
    }
    expect(place.changes).toEqual([]);
  });

  it('names no host, two hosts, or none by an old version', async () => {
    expect((await asked(['GET / HTTP/1.1'])).status).toBe(400);
    expect((await asked(['GET / HTTP/1.1', `Host: ${host()}`, `Host: ${EVIL}`])).status).toBe(400);
    expect((await asked(['GET / HTTP/1.0'])).status).toBe(403);
    expect((await asked(['GET /'])).status).toBe(403);
    expect((await asked(['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'])).status).toBe(400);
  });

  it('upgrades to nothing and connects to nothing', async () => {
    const Cookie = await signIn();
    const upgrade = {
      Cookie,
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': 'x',
      'Sec-WebSocket-Version': 13,
    };
    const socket = await open(port());
    let text = '';
    socket.on('data', (piece: Buffer) => (text += piece.toString()));
    socket.write(request('GET', '/v1/look?name=x', { Host: host(), ...upgrade }));
    await vi.waitFor(() => expect(text).toMatch(/^HTTP\/1\.1 200 /), SOON);
    socket.destroy();
    expect((await ask('CONNECT', `${EVIL}:80`, { Cookie })).status).not.toBe(200);
  });

  it.each(['PUT', 'DELETE', 'PATCH', 'TRACE', 'OPTIONS'])('uses no %s', async (method) => {
    const { headers, status } = await ask(method, '/', { Cookie: await signIn() });
    expect([status, headers['allow']]).toEqual([405, 'GET, HEAD, POST']);
  });

  it('is too large: head, address, body by its length, body by its chunks', async () => {
    const Cookie = await signIn();
    expect((await ask('GET', '/', { Cookie, X: 'x'.repeat(9000) })).status).toBe(431);
    expect((await ask('GET', `/?${'x'.repeat(3000)}`, { Cookie })).status).toBe(414);
    const fields = { Authorization: `Bearer ${token()}`, ...JSON_BODY };
    expect((await ask('POST', '/v1/change', { ...fields, 'Content-Length': 65_537 })).status).toBe(413);
    const chunk = `10001\r\n${'x'.repeat(65_537)}\r\n0\r\n\r\n`;
    expect(
      (await ask('POST', '/v1/change', { ...fields, 'Transfer-Encoding': 'chunked' }, chunk)).status,
    ).toBe(413);
    expect((await ask('POST', '/v1/change', { ...fields, 'Content-Length': 3 }, '{]}')).status).toBe(400);
    expect(place.changes).toEqual([]);
  });
});

describe('what holds the server up', () => {
  it('slow ones are cut off, and others are answered meanwhile', async () => {
    const slow = await Promise.all(Array.from({ length: 20 }, () => open(port())));
    const ends = slow.map(readAll);
    for (const socket of slow) socket.write(`GET / HTTP/1.1\r\nHost: ${host()}\r\nX-`);
    expect((await ask('GET', '/metrics')).status).toBe(200);
    const texts = await Promise.all(ends);
    for (const text of texts) expect(text).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('a thousand connections: the server keeps its bound, and serves again when they are gone', async () => {
    const before = countSockets();
    const many = await Promise.all(Array.from({ length: 1000 }, () => open(port())));
    // Those above the bound are closed as they come.
    await vi.waitFor(
      () => expect(many.filter((socket) => !socket.closed).length).toBeLessThanOrEqual(64),
      SOON,
    );
    for (const socket of many) socket.destroy();
    await vi.waitFor(async () => expect((await ask('GET', '/metrics')).status).toBe(200), SOON);
    await vi.waitFor(() => expect(countSockets()).toBe(before), SOON);
  });

  it('a flood of streams: so many and no more, and calls go on', async () => {
    const Cookie = await signIn();
    const begin = async (): Promise<{ readonly socket: Socket; status: number }> => {
      const socket = await open(port());
      const stream = { socket, status: 0 };
      socket.once('data', (piece: Buffer) => (stream.status = readAnswer(piece.toString()).status));
      socket.write(request('GET', '/v1/live', { Host: host(), Cookie }));
      return stream;
    };
    const streams = await Promise.all(Array.from({ length: STREAMS_MAX + 10 }, begin));
    await vi.waitFor(() => expect(streams.filter(({ status }) => status === 0)).toEqual([]), SOON);
    expect(streams.filter(({ status }) => status === 200)).toHaveLength(STREAMS_MAX);
    expect(streams.filter(({ status }) => status === 503)).toHaveLength(10);
    expect((await ask('GET', '/v1/look?name=x', { Cookie })).status).toBe(200);
    for (const { socket } of streams) socket.destroy();
    await vi.waitFor(async () => {
      const { socket, status } = await begin();
      socket.destroy();
      expect(status === 200 || status === 0).toBe(true);
    }, SOON);
  });

  it('streams that nobody reads make room', async () => {
    await place.server.close();
    // More than a socket takes.
    const flood = Buffer.alloc(16 << 20);
    place.server = await start({ calls: (_asked, response) => void response.writeHead(200).write(flood) });
    const asked = request('GET', '/v1/live', { Host: host(), Authorization: `Bearer ${token()}` });
    const begin = async () => {
      const socket = await open(port());
      socket.write(asked);
      const status = await new Promise<number>((resolve) => {
        socket.once('data', (piece: Buffer) => {
          socket.pause();
          resolve(readAnswer(piece.toString('latin1')).status);
        });
      });
      return { socket, status };
    };
    const streams: Awaited<ReturnType<typeof begin>>[] = [];
    // oxlint-disable-next-line no-await-in-loop -- the first one is the one that goes
    for (let i = 0; i < STREAMS_MAX + 3; i++) streams.push(await begin());
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200));
    const ended = Promise.all(
      streams
        .slice(0, 3)
        .map(({ socket }) => new Promise((resolve) => socket.resume().once('close', resolve))),
    );
    await ended;
    expect(streams.slice(3).filter(({ socket }) => socket.closed)).toEqual([]);
    for (const { socket } of streams) socket.destroy();
  });

  it('nothing is left after the end, whatever was open', async () => {
    const before = countSockets();
    const own = await start();
    const at = own.addresses[0]!.port;
    const Cookie = new URL(own.url).searchParams.get('token')!;
    const open1 = await open(at);
    open1.write(request('GET', '/v1/live', { Host: `127.0.0.1:${at}`, Authorization: `Bearer ${Cookie}` }));
    const open2 = await open(at);
    open2.write('GET / HTT');
    // A wrong token whose answer is held back.
    const held = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const socket = await open(at);
        socket.write(request('GET', '/', { Host: `127.0.0.1:${at}`, Authorization: 'Bearer wrong' }));
        return socket;
      }),
    );
    await vi.waitFor(() => expect(own.counters().wrongTokens).toBe(10), SOON);
    await own.close();
    await own.close();
    await Promise.all([open1, open2, ...held].map(readAll));
    await vi.waitFor(() => expect(countSockets()).toBe(before), SOON);
  });
});
