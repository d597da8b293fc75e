import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalIp,
  formatIp,
  inPrefix,
  isLinkLocal,
  isLoopback,
  networkOf,
  parseIp,
  unmapV4,
} from './ip.ts';

describe('parseIp', () => {
  it('agrees with Node on what is an address, for strings that look like one', () => {
    const alphabet = fc.constantFrom('0', '1', '9', 'a', 'f', ':', '::', '.', '255', '256', 'g', 'ffff');
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 16 }), (parts) => {
        const text = parts.join('');
        expect(parseIp(text) !== undefined).toBe(isIP(text) !== 0);
      }),
      { numRuns: 5000 },
    );
  });

  it('reads back what formatIp wrote', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      // Mostly zero: exercises the `::` choice.
      fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 }).map((a) => Uint8Array.from(a)),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        expect(parseIp(formatIp(input))).toEqual(input);
      }),
    );
  });
});

describe('formatIp', () => {
  it.each([
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['::ffff:a00:909', '::ffff:10.0.9.9'],
    ['FE80::1', 'fe80::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::1.2.3.4', '::1.2.3.4'],
    ['::ffff:0:0', '::ffff:0.0.0.0'],
  ])('%s is %s', (text, canonical) => expect(canonicalIp(text)).toBe(canonical));
});

it('knows prefixes and scopes', () => {
  expect(networkOf('10.11.12.13', 12)).toBe('10.0.0.0');
  expect(networkOf('2001:db8:ffff::1', 33)).toBe('2001:db8:8000::');
  expect(inPrefix('10.1.0.1', { address: '10.1.0.0', length: 16 })).toBe(true);
  expect(inPrefix('10.1.0.1', { address: '::', length: 0 })).toBe(false);
  expect(isLinkLocal('169.254.3.4') && isLinkLocal('fe80::1') && !isLinkLocal('10.0.0.1')).toBe(true);
  expect(isLoopback('127.8.0.1') && isLoopback('::1') && isLoopback('::ffff:127.0.0.1')).toBe(true);
  expect(unmapV4('::ffff:10.0.0.1')).toBe('10.0.0.1');
});
