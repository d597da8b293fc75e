/**
 * The page's server under attack, over real sockets: what other sites, other users of the machine and broken clients may
 * try, and that nothing of it is left afterwards. The control calls behind it are made up here; who may reach them is
 * what is tested. The guard's verdicts one by one: src/web/guard.test.ts.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { silentLogger, type Logger } from '../src/base/index.ts';
import { controlRequestListener } from '../src/service/control-request.ts';
import { LiveFeed } from '../src/service/observe/live-feed.ts';
import type { Overview } from '../src/service/observe/model.ts';
import { STREAMS_MAX } from '../src/web/handler.ts';
import { WebServer, type WebOptions } from '../src/web/index.ts';
import {
  open,
  readAll,
  readAnswer,
  request,
  sendRaw,
  type Fields,
  type RawAnswer,
} from './support/web-raw.ts';

const OTHER_USER = 65_534;
const readFailure = ({ body, status }: RawAnswer) => [status, (JSON.parse(body) as { code: string }).code];

const SOON = { interval: 10, timeout: 20_000 };
const EVIL = 'evil.example';

interface Api {
  look(query: { readonly name: string }): Promise<{ readonly name: string }>;
  change(argument: unknown): Promise<{ readonly done: true }>;
}

let folder: string;
let server: WebServer;
let changes: unknown[];
const feed = () =>
  new LiveFeed({
    overview: () => ({ apiVersion: 1, time: 0 }) as Overview,
    onSample: () => () => {},
    watch: () => () => {},
  });

/** Sockets of this process. */
const sockets = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return statSync(`/proc/self/fd/${fd}`).isSocket();
    } catch {
      return false;
    }
  }).length;

async function start(options: Partial<WebOptions> = {}): Promise<WebServer> {
  const live = feed();
  const api: Api = {
    look: ({ name }) => Promise.resolve({ name }),
    change: (argument) => {
      changes.push(argument);
      return Promise.resolve({ done: true });
    },
  };
  return WebServer.start({
    addresses: [{ address: '127.0.0.1', port: 0 }],
    calls: controlRequestListener<Api>({
      calls: {
        look: { method: 'GET', path: '/v1/look', readQuery: (query) => ({ name: query.get('name') ?? '' }) },
        change: { method: 'POST', path: '/v1/change', readArgument: (value) => value },
      },
      api,
      routes: new Map([
        ['/v1/live', (asked, response) => live.open(asked, response)],
        [
          '/metrics',
          (_asked, response) => {
            response.writeHead(200, { 'content-type': 'text/plain' });
            response.end('weft_up 1\n');
          },
        ],
      ]),
    }),
    pageFolder: join(folder, 'page'),
    program: 'up',
    logger: silentLogger,
    ...options,
  });
}

const port = () => server.addresses[0]!.port;
const host = () => `127.0.0.1:${port()}`;
const token = () => new URL(server.url).searchParams.get('token')!;
const ask = (method: string, target: string, fields: Fields = {}, body = ''): Promise<RawAnswer> =>
  sendRaw(port(), request(method, target, { Host: host(), ...fields }, body));

/** Opens the printed address as a browser does. @returns `weft-PORT=…` */
async function signIn(): Promise<string> {
  const { headers, status } = await ask('GET', `/?token=${token()}`);
  expect(status).toBe(303);
  return headers['set-cookie']!.split(';')[0]!;
}

async function changeToken(cookie: string): Promise<string> {
  const { body } = await ask('GET', '/v1/session', { Cookie: cookie });
  return (JSON.parse(body) as { token: string }).token;
}

const JSON_BODY = { 'Content-Type': 'application/json' };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weft-web-'));
  mkdirSync(join(folder, 'page'));
  writeFileSync(join(folder, 'page', 'index.html'), '<!doctype html><title>the page</title>');
  writeFileSync(join(folder, 'page', 'page.js'), 'void 0;');
  writeFileSync(join(folder, 'secret'), 'a secret beside the page');
  changes = [];
  server = await start();
});

afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

describe('somebody who has the address', () => {
  it('sees the page, and the token leaves the address', async () => {
    const { body, headers, status } = await ask('GET', `/?token=${token()}`);
    expect([status, headers['location'], body]).toEqual([303, '/', '']);
    expect(headers['set-cookie']).toMatch(
      new RegExp(`^weft-${port()}=[\\w-]{43}; HttpOnly; SameSite=Strict; Path=/$`),
    );
    expect(headers['set-cookie']).not.toContain(token());
    const Cookie = headers['set-cookie']!.split(';')[0]!;
    const page = await ask('GET', '/', { Cookie });
    expect(page.status).toBe(200);
    expect(page.body).toContain('the page');
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
    });
    expect((await ask('GET', '/page.js', { Cookie })).headers['content-type']).toBe(
      'text/javascript; charset=utf-8',
    );
    const again = await ask('GET', '/', { Cookie, 'If-None-Match': page.headers['etag']! });
    expect([again.status, again.body]).toEqual([304, '']);
  });

  it('asks, and changes with the second token', async () => {
    const Cookie = await signIn();
    expect((await ask('GET', '/v1/look?name=x%26y', { Cookie })).body).toBe('{"name":"x&y"}');
    const fields = { Cookie, ...JSON_BODY, 'Content-Length': 7, 'X-Weft-Token': await changeToken(Cookie) };
    expect(await ask('POST', '/v1/change', fields, '{"a":1}')).toMatchObject({
      status: 200,
      body: '{"done":true}',
    });
    expect(changes).toEqual([{ a: 1 }]);
  });

  it('does so with the token alone, as a program', async () => {
    const fields = { Authorization: `Bearer ${token()}` };
    expect((await ask('GET', '/v1/look?name=x', fields)).body).toBe('{"name":"x"}');
    expect(
      (await ask('POST', '/v1/change', { ...fields, ...JSON_BODY, 'Content-Length': 2 }, '[]')).status,
    ).toBe(200);
    expect((await ask('GET', '/v1/session', fields)).status).toBe(404);
  });

  it('reads heads alone', async () => {
    const Cookie = await signIn();
    const page = await ask('HEAD', '/', { Cookie });
    expect([page.status, page.body, Number(page.headers['content-length'])]).toEqual([200, '', 38]);
    const call = await ask('HEAD', '/v1/look?name=x', { Cookie });
    expect([call.status, call.body, call.headers['content-length']]).toEqual([200, '', '12']);
    expect((await ask('HEAD', '/v1/live', { Cookie })).status).toBe(405);
    expect((await ask('HEAD', '/', {})).status).toBe(401);
  });

  it('follows the stream', async () => {
    const socket = await open(port());
    socket.write(
      request('GET', '/v1/live', { Host: host(), Cookie: await signIn(), Accept: 'text/event-stream' }),
    );
    let text = '';
    socket.on('data', (piece: Buffer) => (text += piece.toString()));
    await vi.waitFor(() => expect(text).toContain('event: overview\ndata: {"apiVersion":1,"time":0}'), SOON);
    expect(readAnswer(text).headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
    });
    socket.destroy();
  });

  it('is given a body that waits to be asked for', async () => {
    const socket = await open(port());
    const fields = {
      Authorization: `Bearer ${token()}`,
      ...JSON_BODY,
      'Content-Length': 2,
      Expect: '100-continue',
    };
    let text = '';
    socket.on('data', (piece: Buffer) => (text += piece.toString()));
    socket.write(request('POST', '/v1/change', { Host: host(), ...fields }));
    await vi.waitFor(() => expect(text).toBe('HTTP/1.1 100 Continue\r\n\r\n'), SOON);
    socket.write('[]');
    await vi.waitFor(() => expect(text).toContain('{"done":true}'), SOON);
    socket.destroy();
  });
});

it('every answer says that nothing else may be loaded, framed, guessed or kept', async () => {
  const Cookie = await signIn();
  const answers = await Promise.all([
    ask('GET', '/', { Cookie }),
    ask('GET', '/'),
    ask('GET', '/', { Accept: 'text/html' }),
    ask('GET', '/v1/look', { Cookie }),
    ask('GET', '/nothing', { Cookie }),
    ask('GET', '/metrics'),
    ask('GET', '/', { Cookie, Host: EVIL }),
    ask('PUT', '/', { Cookie }),
    ask('GET', `/?token=${token()}`),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([200, 401, 401, 200, 404, 200, 403, 405, 303]);
  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      server: 'weft (up)',
    });
    expect(headers['cache-control']).toMatch(/^no-(store|cache)$/);
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/);
    expect(headers['content-security-policy']).not.toMatch(/unsafe|\*/);
    expect(headers).not.toHaveProperty('access-control-allow-origin');
  }
});

describe('somebody who has not', () => {
  it('is told how to get it, and nothing else, whatever is asked for', async () => {
    const answers = await Promise.all(
      ['/', '/page.js', '/v1/look', '/v1/session', '/v1/live', '/nothing', '/?token=', '/?token=x'].map(
        (target) => ask('GET', target),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 401));
    for (const { body, headers } of answers) {
      expect(JSON.parse(body)).toEqual({
        error: expect.stringContaining('"weft web"'),
        code: expect.any(String),
      });
      expect(headers['www-authenticate']).toBe('Bearer realm="weft"');
    }
    const page = await ask('GET', '/?token=mistaken<script>', { Accept: 'text/html' });
    expect(page.status).toBe(401);
    expect(page.body).toContain('weft web');
    expect(page.body).not.toContain('mistaken');
  });

  it.each(['127.0.0.1', '::1'])(
    'is another user, to whose port a browser has sent the cookie (%s)',
    async (address) => {
      await server.close();
      server = await start({ addresses: [{ address, port: 0 }] });
      const fields = { Host: server.names[0]!, Cookie: '' };
      const { headers } = await sendRaw(port(), request('GET', `/?token=${token()}`, fields), address);
      fields.Cookie = headers['set-cookie']!.split(';')[0]!;
      const asked = request('GET', '/v1/session', fields);
      expect((await sendRaw(port(), asked, address)).status).toBe(200);
      const own = process.geteuid!();
      try {
        process.seteuid!(OTHER_USER);
      } catch {
        test.skip('there is no other user in this user namespace');
      }
      const answer = sendRaw(port(), asked, address);
      // The socket is made in the next tick, and is this user's.
      await new Promise((resolve) => {
        process.nextTick(resolve);
      });
      process.seteuid!(own);
      expect(readFailure(await answer)).toEqual([401, 'NO_SESSION']);
      expect((await sendRaw(port(), asked, address)).status).toBe(200);
    },
  );

  it('has the cookie of another server, or of another session', async () => {
    const other = await start();
    const otherToken = new URL(other.url).searchParams.get('token')!;
    expect(otherToken).not.toBe(token());
    const [a, b] = [await signIn(), await signIn()];
    expect(a).not.toBe(b);
    const value = a.split('=')[1]!;
    for (const Cookie of [
      `weft-${other.addresses[0]!.port}=${value}`,
      `weft-${port()}=${otherToken}`,
      `weft-${port()}=${token()}`,
    ])
      expect((await ask('GET', '/', { Cookie })).status).toBe(401);
    // The second token of one session is none of another.
    const fields = { Cookie: a, ...JSON_BODY, 'Content-Length': 2, 'X-Weft-Token': await changeToken(b) };
    expect((await ask('POST', '/v1/change', fields, '[]')).status).toBe(403);
    await other.close();
    expect(changes).toEqual([]);
  });

  it('guesses slowly, and keeps nobody else from coming', async () => {
    const started = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => ask('GET', '/v1/look', { Authorization: `Bearer guess-${i}` })),
    );
    const statuses = new Set(answers.map(({ status }) => status));
    expect(statuses).toEqual(new Set([401, 429]));
    expect(performance.now() - started).toBeGreaterThan(300);
    expect((await ask('GET', '/v1/look', { Authorization: `Bearer ${token()}` })).status).toBe(200);
    expect(server.counters()).toMatchObject({ wrongTokens: 40, sessions: 0 });
  });

  it('leaves a line in the log that has no token in it, and one only', async () => {
    await server.close();
    const lines: string[] = [];
    const note = (fields: unknown, text: string) => void lines.push(`${JSON.stringify(fields)} ${text}`);
    const logger: Logger = { debug: note, info: note, warn: note, error: note };
    server = await start({ logger });
    await Promise.all(['wrong-one', 'wrong-two'].map((guess) => ask('GET', `/?token=${guess}`)));
    await ask('GET', `/?token=${token()}`);
    expect(lines).toEqual([
      '{"client":"127.0.0.1"} the page was asked for with a wrong token (1 since the start)',
    ]);
  });
});

describe('another web site, in the browser of somebody who has', () => {
  it.each([
    ['by a name of its own that leads here', { Host: EVIL }, 403],
    ['by a name of its own with our port', { Host: `${EVIL}:1` }, 403],
    ['by a form', { Origin: `http://${EVIL}`, 'Content-Type': 'application/x-www-form-urlencoded' }, 403],
    ['from a sandboxed frame', { Origin: 'null' }, 403],
    ['from another port of this machine', { Origin: 'http://127.0.0.1:1' }, 403],
    ['by a link', { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' }, 403],
    ['from a sibling', { 'Sec-Fetch-Site': 'same-site' }, 403],
    ['without a type that asks first', { 'Content-Type': 'text/plain' }, 415],
    ['without the second token', { Origin: 'SELF' }, 403],
  ])('%s changes nothing and reads nothing', async (_how, fields: Fields, status) => {
    const Cookie = await signIn();
    const own = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, value === 'SELF' ? `http://${host()}` : value]),
    );
    const all = { Cookie, ...JSON_BODY, 'Content-Length': 2, ...own };
    expect((await ask('POST', '/v1/change', all, '[]')).status).toBe(status);
    if (status === 403 && own['Origin'] !== `http://${host()}`)
      expect((await ask('GET', '/v1/look', { Cookie, ...own })).body).not.toContain('name"');
    expect(changes).toEqual([]);
  });

  it('asks in vain whether it may', async () => {
    const { headers, status } = await ask('OPTIONS', '/v1/change', {
      Origin: `http://${EVIL}`,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'x-weft-token,content-type',
    });
    expect(status).toBe(405);
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

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
    expect(changes).toEqual([]);
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
    expect(changes).toEqual([]);
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
    const before = sockets();
    const many = await Promise.all(Array.from({ length: 1000 }, () => open(port())));
    // Those above the bound are closed as they come.
    await vi.waitFor(
      () => expect(many.filter((socket) => !socket.closed).length).toBeLessThanOrEqual(64),
      SOON,
    );
    for (const socket of many) socket.destroy();
    await vi.waitFor(async () => expect((await ask('GET', '/metrics')).status).toBe(200), SOON);
    await vi.waitFor(() => expect(sockets()).toBe(before), SOON);
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
    await server.close();
    // More than a socket takes.
    const flood = Buffer.alloc(16 << 20);
    server = await start({ calls: (_asked, response) => void response.writeHead(200).write(flood) });
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
    const before = sockets();
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
    await vi.waitFor(() => expect(sockets()).toBe(before), SOON);
  });
});

describe('/metrics', () => {
  it('is open to programs of this machine, by our name only', async () => {
    expect(await ask('GET', '/metrics')).toMatchObject({
      status: 200,
      body: expect.stringContaining('weft_up 1'),
    });
    expect((await ask('GET', '/metrics', { Host: EVIL })).status).toBe(403);
    expect((await ask('GET', '/metrics', { 'X-Forwarded-For': '192.0.2.1' })).status).toBe(401);
  });

  it('needs the token where a reverse proxy stands before it', async () => {
    await server.close();
    server = await start({
      origins: [{ origin: 'https://weft.example', host: 'weft.example', secure: true }],
    });
    expect((await ask('GET', '/metrics')).status).toBe(401);
    expect((await ask('GET', '/metrics', { Authorization: `Bearer ${token()}` })).status).toBe(200);
    expect(server.url).toBe(`https://weft.example/?token=${token()}`);
    const entered = await ask('GET', `/?token=${token()}`, { Host: 'weft.example' });
    expect(entered.headers['set-cookie']).toMatch(/; Secure$/);
  });
});

describe('beyond loopback', () => {
  const everywhere = [{ address: '0.0.0.0', port: 0 }];

  it('is refused without a token file, which is made when it is not there', async () => {
    await expect(start({ addresses: everywhere })).rejects.toMatchObject({ code: 'NO_TOKEN_FILE' });
    const tokenFile = join(folder, 'etc', 'web.token');
    const first = await start({ addresses: everywhere, tokenFile });
    expect(first.madeTokenFile).toBe(true);
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
    const { url } = first;
    await first.close();
    const second = await start({ addresses: everywhere, tokenFile });
    expect(second.madeTokenFile).toBe(false);
    expect(new URL(second.url).search).toBe(new URL(url).search);
    const at = second.addresses[0]!.port;
    // There nothing is open without it.
    expect((await sendRaw(at, request('GET', '/metrics', { Host: `127.0.0.1:${at}` }))).status).toBe(401);
    await second.close();
  });

  it.each([
    ['short', 0o600, 'BAD_TOKEN_FILE'],
    ['a token with spaces in it, long enough', 0o600, 'BAD_TOKEN_FILE'],
    ['a-good-token-0123456789', 0o640, 'UNTRUSTED'],
    ['a-good-token-0123456789', 0o604, 'UNTRUSTED'],
  ])('is refused with "%s" of mode %o', async (text, mode, code) => {
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, text, { mode });
    const failure = await start({ addresses: everywhere, tokenFile }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code });
    expect(String(failure)).not.toContain(text);
  });
});

it('a taken port is an error, and nothing of the other addresses listens then', async () => {
  const before = sockets();
  await expect(
    start({
      addresses: [
        { address: '127.0.0.1', port: 0 },
        { address: '127.0.0.1', port: port() },
      ],
    }),
  ).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await vi.waitFor(() => expect(sockets()).toBe(before), SOON);
});

it('without a page there is a word about it, and the calls are there', async () => {
  await server.close();
  server = await start({ pageFolder: join(folder, 'nowhere') });
  const Cookie = await signIn();
  expect(await ask('GET', '/', { Cookie })).toMatchObject({
    status: 200,
    body: expect.stringContaining('no page'),
  });
  expect((await ask('GET', '/v1/look?name=x', { Cookie })).status).toBe(200);
});
