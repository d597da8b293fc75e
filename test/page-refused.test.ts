/**
 * Who is not let in, tried from a browser that has a session: pages of other sites, names that lead to this address,
 * requests without the second token, and scripts that others would like to run. What raw requests are answered is in
 * the tests of the server.
 */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { EndpointFlag, PathManager } from '../src/mptcp/index.ts';
import { PageHost } from './support/page-host.ts';

const OTHER_SITE = 'http://other.test';
/** A name of somebody else's that leads to loopback. */
const REBOUND = 'rebound.test';
const MAKE_BACKUP = JSON.stringify({ link: 'lte0', backup: true });

let host: PageHost;
let address: string;
let origin: string;
let context: BrowserContext;

beforeAll(async () => {
  host = await PageHost.start({
    browserArgs: [
      `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`,
      // The browser's own guard of local addresses would answer before ours is asked.
      '--disable-features=LocalNetworkAccessChecks,PrivateNetworkAccessSendPreflights,BlockInsecurePrivateNetworkRequests',
    ],
  });
  address = await host.address();
  ({ origin } = new URL(address));
  context = await host.browser.newContext();
  // A page in the background that holds the session.
  const own = await context.newPage();
  await own.goto(address);
  await own.locator('#picture').waitFor();
  await context.route(`${OTHER_SITE}/**`, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>other</title><p>hello' }),
  );
});

afterAll(async () => {
  await host.close();
});

function backups(): string[] {
  const manager = PathManager.open({ netns: host.client.path });
  try {
    return manager
      .endpoints()
      .filter(({ flags }) => (flags & EndpointFlag.backup) !== 0)
      .map((endpoint) => endpoint.address);
  } finally {
    manager.close();
  }
}

// Whatever was tried, nothing was done.
afterEach(() => {
  expect(backups()).toEqual([]);
});

/** Answers of Weft that a page got, by what it asked. */
function watchAnswers(page: Page): Map<string, number> {
  const answers = new Map<string, number>();
  page.on('response', (response) => {
    const url = new URL(response.url());
    if (url.port === new URL(origin).port) answers.set(url.pathname, response.status());
  });
  return answers;
}

/** A fetch in the page: its status, or `refused` where the browser gives the page nothing. */
const tryFetch = (page: Page, path: string, init: object = {}): Promise<number | string> =>
  page.evaluate<number | string>(
    `fetch(${JSON.stringify(path)}, ${JSON.stringify(init)})
      .then((answer) => (answer.type === 'opaque' ? 'opaque' : answer.status), () => 'refused')`,
  );

const post = (path: string, headers: Record<string, string>, body: string) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body,
});

it('a page of another site reads nothing and changes nothing', async () => {
  const page = await context.newPage();
  const answers = watchAnswers(page);
  await page.goto(`${OTHER_SITE}/`);
  for (const path of ['/', '/v1/overview', '/v1/session', '/metrics', address.slice(origin.length)]) {
    expect(await tryFetch(page, origin + path, { credentials: 'include' })).toBe('refused');
    await tryFetch(page, origin + path, { credentials: 'include', mode: 'no-cors' });
  }
  await tryFetch(page, `${origin}/v1/path`, { ...post('/v1/path', {}, MAKE_BACKUP), credentials: 'include' });
  await tryFetch(page, `${origin}/v1/path`, {
    method: 'POST',
    mode: 'no-cors',
    credentials: 'include',
    headers: { 'content-type': 'text/plain' },
    body: MAKE_BACKUP,
  });
  const wasLive = await page.evaluate<boolean>(`new Promise((resolve) => {
    const source = new EventSource(${JSON.stringify(`${origin}/v1/live`)}, { withCredentials: true });
    source.onopen = () => resolve(true);
    source.onerror = () => resolve(false);
  })`);
  expect(wasLive).toBe(false);
  const ran = await page.evaluate<boolean>(`new Promise((resolve) => {
    const script = document.createElement('script');
    script.src = ${JSON.stringify(`${origin}/v1/overview`)};
    script.onload = () => resolve(true);
    script.onerror = () => resolve(false);
    document.head.append(script);
  })`);
  expect(ran).toBe(false);
  expect([...answers].filter(([, status]) => status < 400)).toEqual([]);
  await page.close();
});

it('a page of another site cannot send a form, and cannot show ours in a frame', async () => {
  const page = await context.newPage();
  const answers = watchAnswers(page);
  await page.goto(`${OTHER_SITE}/`);
  await page.evaluate(`(() => {
    const frame = document.createElement('iframe');
    frame.name = 'inner';
    document.body.append(frame);
    const form = document.createElement('form');
    Object.assign(form, { method: 'POST', action: ${JSON.stringify(`${origin}/v1/path`)}, enctype: 'text/plain', target: 'inner' });
    const field = document.createElement('input');
    field.name = '{"link":"lte0","backup":true,"x":"';
    field.value = '"}';
    form.append(field);
    document.body.append(form);
    const done = new Promise((resolve) => { frame.onload = resolve; });
    form.submit();
    return done;
  })()`);
  await page.evaluate(`new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.onload = resolve;
    frame.src = ${JSON.stringify(`${origin}/`)};
    document.body.append(frame);
  })`);
  for (const frame of page.frames()) expect(await frame.locator('#picture').count()).toBe(0);
  expect([...answers].filter(([, status]) => status < 400)).toEqual([]);
  await page.close();
});

it('a name of somebody else that leads here is no name of ours', async () => {
  const page = await context.newPage();
  const rebound = origin.replace('127.0.0.1', REBOUND);
  for (const path of ['/', '/v1/overview', '/metrics', address.slice(origin.length)]) {
    const response = await page.goto(rebound + path);
    expect(response?.status()).toBe(403);
    expect(await page.locator('#picture').count()).toBe(0);
  }
  expect(await context.cookies(rebound)).toEqual([]);
  await page.close();
});

it('the session is nothing that a script can read, and without the second token it changes nothing', async () => {
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  await page.locator('#picture').waitFor();
  const cookies = await context.cookies(origin);
  expect(cookies).toHaveLength(1);
  expect(cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
  expect(address).not.toContain(cookies[0]?.value);
  expect(await page.evaluate('document.cookie')).toBe('');

  expect(await tryFetch(page, '/v1/path', post('/v1/path', {}, MAKE_BACKUP))).toBe(403);
  expect(await tryFetch(page, '/v1/path', post('/v1/path', { 'x-weft-token': 'x' }, MAKE_BACKUP))).toBe(403);
  expect(await tryFetch(page, '/v1/path', { method: 'PUT', body: MAKE_BACKUP })).toBe(405);
  expect(
    await tryFetch(page, '/v1/path', post('/v1/path', { 'content-type': 'text/plain' }, MAKE_BACKUP)),
  ).toBe(415);
  expect(await tryFetch(page, '/v1/path', post('/v1/path', {}, 'x'.repeat(1 << 20)))).toBe(413);
  await page.close();
  const stranger = await host.browser.newContext();
  const strange = await stranger.newPage();
  await strange.goto(`${origin}/?token=guess`);
  expect(await tryFetch(strange, '/v1/path', post('/v1/path', {}, MAKE_BACKUP))).toBe(401);
  expect(await tryFetch(strange, '/v1/overview')).toBe(401);
  expect(await stranger.cookies()).toEqual([]);
  await stranger.close();
});

it('no script runs that is not a file of ours', async () => {
  const opened = await host.open();
  const { page } = opened;
  await page.locator('#picture').waitFor();
  await page.evaluate(`(() => {
    const place = document.createElement('div');
    place.innerHTML = '<img src="data:,x" onerror="globalThis.attack = 1"><a href="javascript:globalThis.attack = 2">x</a>';
    document.body.append(place);
    const script = document.createElement('script');
    script.textContent = 'globalThis.attack = 3';
    document.body.append(script);
    const foreign = document.createElement('script');
    foreign.src = 'http://other.test/x.js';
    const told = new Promise((resolve) => { foreign.onerror = resolve; });
    document.body.append(foreign);
    place.querySelector('a').click();
    return told;
  })()`);
  expect(await page.evaluate('globalThis.attack')).toBeUndefined();
  const violations = (await opened.whatWentWrong()).filter((text) => text.startsWith('policy: script-src'));
  expect(violations.length).toBeGreaterThanOrEqual(3);
  await opened.close();
});
