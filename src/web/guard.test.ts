/** Every way to be refused, and that nothing made up at random passes without a key. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseWebOrigin, type WebOrigin } from './addresses.ts';
import { BODY_MAX_BYTES, cookieName, guard, type GuardRules, type Keys, type Verdict } from './guard.ts';

const TOKEN = 'the-right-token-0123456789';
const COOKIE = 'the-cookie-of-the-session';
const CHANGE = 'the-second-token';
const ASKER = 'user 1000';
const LOCAL = { address: '127.0.0.1', port: 13_180 };
const HOST = '127.0.0.1:13180';

const keys: Keys = {
  isToken: (text) => text === TOKEN,
  findSession: (cookie, asker) =>
    cookie === COOKIE && asker === ASKER ? { changeToken: CHANGE } : undefined,
  isSame: (a, b) => a === b,
};

const origin = (text: string) => parseWebOrigin(text) as WebOrigin;
const RULES: GuardRules = { origins: [], openMetrics: true };

interface Asked {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Name and value by turns, after the others. */
  readonly more?: readonly string[];
  readonly rules?: GuardRules;
  readonly local?: { readonly address: string; readonly port: number };
  readonly asker?: string;
}

/** A request of a browser with a session, but for what is said. */
function ask({
  asker = ASKER,
  headers = {},
  local = LOCAL,
  method = 'GET',
  more = [],
  rules = RULES,
  target = '/',
}: Asked): Verdict {
  const all: Record<string, string | undefined> = {
    Host: HOST,
    Cookie: `${cookieName(local)}=${COOKIE}`,
    'Sec-Fetch-Site': 'same-origin',
    ...(method === 'POST'
      ? { 'Content-Type': 'application/json', 'Content-Length': '2', 'X-Weft-Token': CHANGE }
      : {}),
    ...headers,
  };
  const rawHeaders = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [name, value],
  );
  return guard(
    { method, target, rawHeaders: [...rawHeaders, ...more], local, asker: () => asker },
    rules,
    keys,
  );
}

const codeOf = (verdict: Verdict) =>
  verdict.kind === 'refused' ? `${verdict.status} ${verdict.code}` : verdict.kind;

describe('who has a session', () => {
  it('reads, and changes with the second token', () => {
    expect(ask({ target: '/v1/history?minutes=5' })).toMatchObject({
      kind: 'passed',
      by: 'session',
      path: '/v1/history',
      query: 'minutes=5',
    });
    expect(ask({ method: 'HEAD' })).toMatchObject({ kind: 'passed', method: 'HEAD' });
    expect(ask({ method: 'POST', target: '/v1/limits' })).toMatchObject({ kind: 'passed', by: 'session' });
  });

  it('is nobody with the cookie of another user of this machine', () => {
    expect(codeOf(ask({ asker: 'user 1001', target: '/v1/session' }))).toBe('401 NO_SESSION');
  });

  it.each([undefined, '', 'another', TOKEN])('changes nothing with the second token %s', (given) => {
    expect(codeOf(ask({ method: 'POST', target: '/v1/limits', headers: { 'X-Weft-Token': given } }))).toBe(
      '403 BAD_TOKEN',
    );
  });
});

describe('who has the token', () => {
  const bearer = { Cookie: undefined, Authorization: `Bearer ${TOKEN}`, 'X-Weft-Token': undefined };

  it('does all without a session', () => {
    expect(ask({ headers: bearer, target: '/v1/overview' })).toMatchObject({ kind: 'passed', by: 'token' });
    expect(ask({ headers: bearer, method: 'POST', target: '/v1/limits' })).toMatchObject({
      kind: 'passed',
      by: 'token',
    });
    expect(codeOf(ask({ headers: bearer, method: 'POST', more: ['Origin', 'http://evil.example'] }))).toBe(
      '403 BAD_ORIGIN',
    );
  });

  it.each([`Bearer ${TOKEN}x`, 'Bearer ', 'Bearer', `Basic ${TOKEN}`, TOKEN, `Bearer ${TOKEN} ${TOKEN}`])(
    'is told from "%s", whatever cookie comes with it',
    (Authorization) => {
      expect(ask({ headers: { Authorization } })).toMatchObject({
        kind: 'refused',
        status: 401,
        wrongKey: true,
      });
    },
  );

  it('opens the address once for a session', () => {
    const headers = { Cookie: undefined, 'Sec-Fetch-Site': 'none' };
    expect(ask({ headers, target: `/?token=${TOKEN}` })).toEqual({ kind: 'entered', secure: false });
    expect(codeOf(ask({ headers, target: `/?token=${TOKEN}x` }))).toBe('401 WRONG_TOKEN');
    expect(codeOf(ask({ headers, target: `/?token=${TOKEN}&token=x` }))).toBe('401 NO_SESSION');
    expect(codeOf(ask({ headers, target: `/v1/overview?token=${TOKEN}` }))).toBe('401 NO_SESSION');
    expect(codeOf(ask({ headers, target: `/?token=${TOKEN}`, method: 'HEAD' }))).toBe('401 NO_SESSION');
  });
});

describe('the cookie', () => {
  it.each([
    undefined,
    '',
    `weft-13180=${COOKIE}x`,
    `weft-13181=${COOKIE}`,
    `weft-13180=${COOKIE}; weft-13180=other`,
    `weft-13180=${TOKEN}`,
    `xweft-13180=${COOKIE}`,
    `weft-13180`,
  ])('%s is none of ours', (Cookie) => {
    expect(codeOf(ask({ headers: { Cookie } }))).toBe('401 NO_SESSION');
  });

  it('is found among others', () => {
    expect(ask({ headers: { Cookie: `a=b; weft-13180=${COOKIE};c` } }).kind).toBe('passed');
  });
});

describe('the name it is asked by', () => {
  it.each(['127.0.0.1:13180', 'localhost:13180', 'LocalHost:13180', '[::1]:13180'])('%s', (Host) => {
    expect(ask({ headers: { Host } }).kind).toBe('passed');
  });

  it.each([
    undefined,
    '',
    'evil.example:13180',
    'localhost.evil.example:13180',
    'localhost',
    '127.0.0.1',
    '127.0.0.1:80',
    '127.0.0.1:13180.evil.example',
    'evil@127.0.0.1:13180',
    '127.1:13180',
    '2130706433:13180',
    '0.0.0.0:13180',
    '192.168.1.2:13180',
    '127.0.0.1:13180, evil.example',
  ])('%s is not one', (Host) => {
    expect(codeOf(ask({ headers: { Host } }))).toBe('403 BAD_HOST');
  });

  it('is the address that the connection came to, beyond loopback', () => {
    const local = { address: '::ffff:192.168.1.2', port: 13_180 };
    expect(ask({ local, headers: { Host: '192.168.1.2:13180' } }).kind).toBe('passed');
    expect(codeOf(ask({ local, headers: { Host: 'localhost:13180' } }))).toBe('403 BAD_HOST');
    expect(
      ask({ local: { address: '2001:db8::1', port: 80 }, headers: { Host: '[2001:db8::1]' } }).kind,
    ).toBe('passed');
  });

  it('is a name of the command line', () => {
    const rules = { origins: [origin('https://weft.example')], openMetrics: false };
    const headers = { Host: 'weft.example', Origin: 'https://weft.example' };
    expect(ask({ rules, headers }).kind).toBe('passed');
    expect(codeOf(ask({ rules, headers: { ...headers, Origin: 'http://weft.example' } }))).toBe(
      '403 BAD_ORIGIN',
    );
    // A reverse proxy may put its own name for us in the place of Host.
    expect(ask({ rules, headers: { ...headers, Host: HOST } }).kind).toBe('passed');
    const entering = { ...headers, Cookie: undefined, 'Sec-Fetch-Site': 'none' };
    expect(ask({ rules, headers: entering, target: `/?token=${TOKEN}` })).toEqual({
      kind: 'entered',
      secure: true,
    });
  });
});

describe('requests of other sites', () => {
  it.each([
    'http://evil.example',
    'null',
    '',
    'http://127.0.0.1:13181',
    'https://127.0.0.1:13180',
    'http://localhost:13180',
    'http://127.0.0.1:13180/',
  ])('by the origin "%s"', (Origin) => {
    expect(codeOf(ask({ headers: { Origin } }))).toBe('403 BAD_ORIGIN');
  });

  it.each(['cross-site', 'same-site', 'x', ''])('by Sec-Fetch-Site "%s"', (site) => {
    expect(codeOf(ask({ headers: { 'Sec-Fetch-Site': site } }))).toBe('403 BAD_ORIGIN');
  });

  it('are not those of the page, or of a program', () => {
    expect(ask({ headers: { Origin: 'http://127.0.0.1:13180' } }).kind).toBe('passed');
    expect(ask({ headers: { 'Sec-Fetch-Site': undefined } }).kind).toBe('passed');
    expect(ask({ headers: { 'Sec-Fetch-Site': 'none' } }).kind).toBe('passed');
  });
});

describe('the form', () => {
  it.each(['PUT', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PATCH', 'get', ''])('no method %s', (method) => {
    expect(codeOf(ask({ method }))).toBe('405 BAD_METHOD');
  });

  it.each([
    '',
    '*',
    'http://127.0.0.1:13180/',
    '//evil.example/',
    '/../etc/passwd',
    '/v1/../../etc/passwd',
    '/%2e%2e/etc/passwd',
    '/v1/overview%00',
    '/\0',
    '/a\\b',
    '/a b',
    '/a#b',
    '/.git/config',
    '/\u00e9',
    '/a\r\nX: y',
    '/?a b',
    '/?\u007f',
  ])('no target %j', (target) => {
    expect(codeOf(ask({ target }))).toBe('400 BAD_REQUEST');
  });

  it('no endless target', () => {
    expect(codeOf(ask({ target: `/?${'a'.repeat(3000)}` }))).toBe('414 TOO_LARGE');
  });

  it.each(['Host', 'origin', 'COOKIE', 'Authorization', 'Content-Length', 'Sec-Fetch-Site', 'X-Weft-Token'])(
    'no second %s',
    (name) => {
      const value = name === 'Host' ? HOST : 'same-origin';
      expect(codeOf(ask({ more: [name, value, name, value] }))).toBe('400 BAD_REQUEST');
    },
  );

  it.each([
    [{ 'Content-Type': undefined }, '415 BAD_TYPE'],
    [{ 'Content-Type': 'text/plain' }, '415 BAD_TYPE'],
    [{ 'Content-Type': 'application/x-www-form-urlencoded' }, '415 BAD_TYPE'],
    [{ 'Content-Type': 'application/json; charset=utf-16' }, '415 BAD_TYPE'],
    [{ 'Content-Length': String(BODY_MAX_BYTES + 1) }, '413 TOO_LARGE'],
    [{ 'Content-Length': '99999999999999999999' }, '413 TOO_LARGE'],
    [{ 'Content-Length': '-1' }, '400 BAD_REQUEST'],
    [{ 'Content-Length': '+2' }, '400 BAD_REQUEST'],
    [{ 'Transfer-Encoding': 'chunked' }, '400 BAD_REQUEST'],
    [{ 'Content-Length': undefined, 'Transfer-Encoding': 'gzip, chunked' }, '400 BAD_REQUEST'],
    [{ 'Content-Length': undefined, 'Transfer-Encoding': 'chunked' }, 'passed'],
    [{ 'Content-Type': 'application/json; charset=UTF-8' }, 'passed'],
  ])('a body as %j: %s', (headers, code) => {
    expect(codeOf(ask({ method: 'POST', target: '/v1/limits', headers }))).toBe(code);
  });

  it('no body where none belongs', () => {
    expect(codeOf(ask({ headers: { 'Content-Length': '5' } }))).toBe('400 BAD_REQUEST');
    expect(codeOf(ask({ headers: { 'Transfer-Encoding': 'chunked' } }))).toBe('400 BAD_REQUEST');
    expect(ask({ headers: { 'Content-Length': '0' } }).kind).toBe('passed');
  });
});

describe('/metrics', () => {
  const headers = { Cookie: undefined, 'Sec-Fetch-Site': undefined };
  const target = '/metrics';

  it('is open to this machine, and to nobody by way of another', () => {
    expect(ask({ headers, target })).toMatchObject({ kind: 'passed', by: 'open' });
    expect(codeOf(ask({ headers: { ...headers, Host: 'evil.example' }, target }))).toBe('403 BAD_HOST');
    expect(codeOf(ask({ headers: { ...headers, 'X-Forwarded-For': '192.0.2.1' }, target }))).toBe(
      '401 NO_SESSION',
    );
    expect(codeOf(ask({ headers: { ...headers, 'Sec-Fetch-Site': 'cross-site' }, target }))).toBe(
      '403 BAD_ORIGIN',
    );
    expect(codeOf(ask({ headers: { ...headers, 'X-Weft-Token': undefined }, target, method: 'POST' }))).toBe(
      '401 NO_SESSION',
    );
  });

  it('needs the token where others may come', () => {
    const rules = { origins: [], openMetrics: false };
    expect(codeOf(ask({ headers, target, rules }))).toBe('401 NO_SESSION');
    expect(ask({ headers: { ...headers, Authorization: `Bearer ${TOKEN}` }, target, rules }).kind).toBe(
      'passed',
    );
  });
});

it('nothing made up at random passes without a key, and nothing throws', () => {
  const name = fc.constantFrom(
    'Host',
    'Origin',
    'Cookie',
    'Authorization',
    'Content-Type',
    'Content-Length',
    'Transfer-Encoding',
    'Sec-Fetch-Site',
    'X-Weft-Token',
    'X-Forwarded-For',
    '__proto__',
    'constructor',
  );
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom(
      HOST,
      `http://${HOST}`,
      'same-origin',
      'application/json',
      '2',
      'chunked',
      CHANGE,
      'Bearer x',
      `weft-13180=x`,
      `weft-13180=${CHANGE}`,
    ),
  );
  const target = fc.oneof(
    fc.string(),
    fc.webPath(),
    fc.constantFrom('/', '/v1/overview', '/v1/limits', '/metrics', '/?token=x'),
  );
  const method = fc.oneof(fc.constantFrom('GET', 'HEAD', 'POST'), fc.string());
  fc.assert(
    fc.property(method, target, fc.array(fc.tuple(name, value), { maxLength: 12 }), (asked, at, fields) => {
      const rawHeaders = ['Host', HOST, ...fields.flat()];
      const verdict = guard(
        { method: asked, target: at, rawHeaders, local: LOCAL, asker: () => ASKER },
        RULES,
        keys,
      );
      if (verdict.kind === 'passed') expect(verdict).toMatchObject({ by: 'open', path: '/metrics' });
      else expect(verdict.kind).toBe('refused');
    }),
    { numRuns: 2000 },
  );
});
