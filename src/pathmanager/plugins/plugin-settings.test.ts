import { expect, it } from 'vitest';
import { readSettings, RETRY_SETTINGS } from './plugin-settings.ts';

const TYPES = {
  ...RETRY_SETTINGS,
  server: { kind: 'boolean', default: false },
  'max-subflows': { kind: 'integer', default: 8, least: 1, most: 255 },
  file: { kind: 'text', default: '/etc/x' },
} as const;

const read = (settings: Record<string, string>) => readSettings('fullmesh', settings, TYPES);

it('reads what is there and defaults the rest', () => {
  expect(read({})).toEqual({
    'first-retry': 1000,
    'longest-retry': 60_000,
    server: false,
    'max-subflows': 8,
    file: '/etc/x',
  });
  expect(read({ server: 'Yes', 'max-subflows': ' 3 ', 'first-retry': '0.25', file: '/a b' })).toMatchObject({
    server: true,
    'max-subflows': 3,
    'first-retry': 250,
    file: '/a b',
  });
});

it.each([
  [{ 'max-subflow': '3' }, 'there is no setting "max-subflow" — did you mean "max-subflows"?'],
  [{ server: 'maybe' }, 'server = "maybe" is not understood — "yes" or "no"'],
  [{ server: 'constructor' }, 'server = "constructor" is not understood — "yes" or "no"'],
  [{ 'max-subflows': '0' }, 'max-subflows = "0" is not understood — a whole number from 1 to 255'],
  [
    { 'first-retry': '-1' },
    'first-retry = "-1" is not understood — seconds, such as 1 or 0.5, at most a day',
  ],
  [
    { xyz: '1' },
    'there is no setting "xyz" — there are first-retry, longest-retry, server, max-subflows, file',
  ],
])('refuses %j', (settings, message) => {
  expect(() => read(settings as Record<string, string>)).toThrow(`[plugin fullmesh]: ${message}`);
});
