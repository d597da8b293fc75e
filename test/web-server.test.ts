/**
 * The page's server under attack, over real sockets: what other sites and other users of the machine may try. Who may
 * reach the control calls behind it is what is tested. The guard's verdicts one by one: src/web/guard.test.ts; broken
 * clients and floods: web-hostile.test.ts.
 */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Logger } from '../src/base/index.ts';
import { countSockets, JSON_BODY, SOON, useWebPlace } from './support/web-place.ts';
import { open, readAnswer, request, sendRaw, type Fields, type RawAnswer } from './support/web-raw.ts';

const place = useWebPlace();
const { ask, changeToken, host, port, signIn, start, token } = place;

const OTHER_USER = 65_534;

/** An ordinary user's namespace has one user only. */
function hasOtherUser(): boolean {
  const own = process.geteuid!();
  try {
    process.seteuid!(OTHER_USER);
  } catch {
    return false;
  }
  process.seteuid!(own);
  return true;
}

const readFailure = ({ body, status }: RawAnswer) => [status, (JSON.parse(body) as { code: string }).code];
const EVIL = 'evil.example';

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
    expect(place.changes).toEqual([{ a: 1 }]);
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

  it.skipIf(!hasOtherUser()).for(['127.0.0.1', '::1'])(
    'is another user, to whose port a browser has sent the cookie (%s)',
    async (address) => {
      await place.server.close();
      place.server = await start({ addresses: [{ address, port: 0 }] });
      const fields = { Host: place.server.names[0]!, Cookie: '' };
      const { headers } = await sendRaw(port(), request('GET', `/?token=${token()}`, fields), address);
      fields.Cookie = headers['set-cookie']!.split(';')[0]!;
      const asked = request('GET', '/v1/session', fields);
      expect((await sendRaw(port(), asked, address)).status).toBe(200);
      const own = process.geteuid!();
      process.seteuid!(OTHER_USER);
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
    expect(place.changes).toEqual([]);
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
    expect(place.server.counters()).toMatchObject({ wrongTokens: 40, sessions: 0 });
  });

  it('leaves a line in the log that has no token in it, and one only', async () => {
    await place.server.close();
    const lines: string[] = [];
    const note = (fields: unknown, text: string) => void lines.push(`${JSON.stringify(fields)} ${text}`);
    const logger: Logger = { debug: note, info: note, warn: note, error: note };
    place.server = await start({ logger });
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
    expect(place.changes).toEqual([]);
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
    await place.server.close();
    place.server = await start({
      origins: [{ origin: 'https://weft.example', host: 'weft.example', secure: true }],
    });
    expect((await ask('GET', '/metrics')).status).toBe(401);
    expect((await ask('GET', '/metrics', { Authorization: `Bearer ${token()}` })).status).toBe(200);
    expect(place.server.url).toBe(`https://weft.example/?token=${token()}`);
    const entered = await ask('GET', `/?token=${token()}`, { Host: 'weft.example' });
    expect(entered.headers['set-cookie']).toMatch(/; Secure$/);
  });
});

describe('beyond loopback', () => {
  const everywhere = [{ address: '0.0.0.0', port: 0 }];

  it('is refused without a token file, which is made when it is not there', async () => {
    await expect(start({ addresses: everywhere })).rejects.toMatchObject({ code: 'NO_TOKEN_FILE' });
    const tokenFile = join(place.folder, 'etc', 'web.token');
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
    const tokenFile = join(place.folder, 'token');
    writeFileSync(tokenFile, text, { mode });
    const failure = await start({ addresses: everywhere, tokenFile }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code });
    expect(String(failure)).not.toContain(text);
  });
});

it('a taken port is an error, and nothing of the other addresses listens then', async () => {
  const before = countSockets();
  await expect(
    start({
      addresses: [
        { address: '127.0.0.1', port: 0 },
        { address: '127.0.0.1', port: port() },
      ],
    }),
  ).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await vi.waitFor(() => expect(countSockets()).toBe(before), SOON);
});

it('without a page there is a word about it, and the calls are there', async () => {
  await place.server.close();
  place.server = await start({ pageFolder: join(place.folder, 'nowhere') });
  const Cookie = await signIn();
  expect(await ask('GET', '/', { Cookie })).toMatchObject({
    status: 200,
    body: expect.stringContaining('no page'),
  });
  expect((await ask('GET', '/v1/look?name=x', { Cookie })).status).toBe(200);
});
