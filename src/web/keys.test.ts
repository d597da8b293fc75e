/** Tokens and sessions: what is one, and how long. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { SESSION_IDLE_MS, SESSIONS_MAX, WebKeys } from './keys.ts';
import { parseWebToken } from './token-file.ts';

const TOKEN = 'the-right-token-0123456789';
const ME = 'user 1000';

function makeKeys() {
  const clock = { nowMs: 0 };
  return { clock, keys: new WebKeys({ token: TOKEN, randomBytes, nowMs: () => clock.nowMs }) };
}

it('the token is the token', () => {
  const { keys } = makeKeys();
  expect(keys.isToken(TOKEN)).toBe(true);
  for (const text of ['', TOKEN.slice(1), `${TOKEN} `, TOKEN.toUpperCase()])
    expect(keys.isToken(text)).toBe(false);
});

it('a session has secrets of its own', () => {
  const { keys } = makeKeys();
  const [a, b] = [keys.openSession(ME), keys.openSession(ME)];
  expect(new Set([a.cookie, a.changeToken, b.cookie, b.changeToken, TOKEN]).size).toBe(5);
  expect(keys.findSession(a.cookie, ME)?.changeToken).toBe(a.changeToken);
  expect(keys.findSession(b.cookie, ME)?.changeToken).toBe(b.changeToken);
  for (const text of ['', TOKEN, a.changeToken, `${a.cookie}x`])
    expect(keys.findSession(text, ME)).toBeUndefined();
});

it('is no session of another user, and lives on when one has tried', () => {
  const { keys } = makeKeys();
  const { changeToken, cookie } = keys.openSession(ME);
  expect(keys.findSession(cookie, 'user 1001')).toBeUndefined();
  expect(keys.findSession(cookie, ME)?.changeToken).toBe(changeToken);
});

it('ends when it is not used, and lives while it is', () => {
  const { clock, keys } = makeKeys();
  const { cookie } = keys.openSession(ME);
  for (let i = 0; i < 5; i++) {
    clock.nowMs += SESSION_IDLE_MS;
    expect(keys.findSession(cookie, ME)).toBeDefined();
  }
  clock.nowMs += SESSION_IDLE_MS + 1;
  expect(keys.findSession(cookie, ME)).toBeUndefined();
  expect(keys.sessionCount).toBe(0);
});

it('there are only so many: the longest unused goes', () => {
  const { keys } = makeKeys();
  const all = Array.from({ length: SESSIONS_MAX }, () => keys.openSession(ME).cookie);
  expect(keys.findSession(all[0]!, ME)).toBeDefined();
  keys.openSession(ME);
  expect(keys.sessionCount).toBe(SESSIONS_MAX);
  expect(keys.findSession(all[0]!, ME)).toBeDefined();
  expect(keys.findSession(all[1]!, ME)).toBeUndefined();
});

it('a token in a file is one line that an address can have', () => {
  expect(parseWebToken('abcdefghij0123456789-._~\n')).toBe('abcdefghij0123456789-._~');
  for (const text of [
    '',
    'short',
    'x'.repeat(513),
    'two words of a token',
    'a\nb'.repeat(9),
    'ééééééééééééééééé',
  ]) {
    expect(parseWebToken(text)).toHaveProperty('problem');
  }
});
