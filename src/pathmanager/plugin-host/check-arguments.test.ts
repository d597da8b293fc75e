import { expect, it } from 'vitest';
import * as checks from './check-arguments.ts';

const HOSTILE = {
  toString: () => {
    throw new Error('inner');
  },
};

it('passes what is in range', () => {
  expect([checks.checkedId(1), checks.checkedId(255), checks.checkedIdOrZero(0)]).toEqual([1, 255, 0]);
  expect([checks.checkedPort(0), checks.checkedPort(65_535)]).toEqual([0, 65_535]);
  expect(checks.checkedToken(0xffffffff)).toBe(0xffffffff);
  expect(checks.checkedLinkIndex(2 ** 31 - 1)).toBe(2 ** 31 - 1);
  expect(checks.checkedEnd('local', { address: 'FD00:0::1', port: 3 })).toEqual({
    address: 'fd00::1',
    port: 3,
  });
});

it.each([-1, 1.5, Number.NaN, 2 ** 40, '5', null, undefined, {}, HOSTILE, 5n])('refuses %o', (value) => {
  expect(() => checks.checkedId(value)).toThrow(/^".*" is not an address id — ids are 1 to 255$/);
  expect(() => checks.checkedIdOrZero(value)).toThrow(/is no id — a whole number from 0 to 255$/);
  expect(() => checks.checkedPort(value)).toThrow(/is no port — a whole number from 0 to 65535$/);
  expect(() => checks.checkedToken(value)).toThrow(/is no token — a whole number from 0 to 4294967295$/);
  expect(() => checks.checkedLinkIndex(value)).toThrow(/is no linkIndex/);
  expect(() => checks.checkedFlag('backup', value)).toThrow(/is no backup — true or false$/);
  expect(() => checks.checkedAddress(value)).toThrow(/is not an IP address$/);
  expect(() => checks.checkedEnd('remote', value as never)).toThrow(/is no remote|is not an IP address/);
});

it('names the end whose port is wrong, and shows a bounded part of the value', () => {
  const end = { address: '10.0.0.1', port: 65_536 };
  expect(() => checks.checkedEnd('local', end)).toThrow('"65536" is no local port');
  expect(() => checks.checkedAddress('x'.repeat(1000))).toThrow(`"${'x'.repeat(64)}" is not an IP address`);
});
