import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_ADDRESS, parseInetAddress } from './inet-address.ts';

describe('addresses as ip takes them', () => {
  it.each([
    ['10.0.1.1', '10.0.1.1'],
    ['10.1', '10.1.0.0'],
    ['5', '5.0.0.0'],
    ['010.0.0.1', '8.0.0.1'],
    ['0x10.0.0.1', '16.0.0.1'],
    ['+1.0.0.1', '1.0.0.1'],
    [' 1. 2.3.4', '1.2.3.4'],
    ['1.2.3.0377', '1.2.3.255'],
    ['2001:DB8::A', '2001:db8::a'],
    ['::ffff:10.0.9.9', '::ffff:10.0.9.9'],
    ['::1:0', '::0.1.0.0'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['any', NO_ADDRESS],
    ['all', NO_ADDRESS],
    ['default', NO_ADDRESS],
  ])('%j is %j', (text, address) => expect(parseInetAddress(text)).toBe(address));

  it.each([
    '',
    ' ',
    '.',
    '10.',
    '10..1',
    '1.2.3.4.5',
    '256.0.0.1',
    '08.0.0.1',
    '1.2.3.4 ',
    '10.0.0.1/24',
    'an',
    'ANY',
    'localhost',
    'fe80::1%lo',
    '[::1]',
    ':',
    ':::',
    '1:2',
    '00001::',
    '::01.2.3.4',
    ' ::1',
  ])('%j is none', (text) => expect(parseInetAddress(text)).toBeUndefined());

  it('takes every IPv4 and IPv6 address in its usual form for itself', () => {
    const v6 = fc.ipV6().filter((text) => !text.includes('.'));
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(parseInetAddress(text)).toBe(text);
      }),
    );
    fc.assert(
      fc.property(v6, (text) => {
        const canonical = parseInetAddress(text);
        expect(canonical).toBeDefined();
        expect(parseInetAddress(canonical!)).toBe(canonical);
      }),
    );
  });

  it('fills missing parts on the right', () => {
    const parts = fc.array(fc.nat(255), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(parts, (values) => {
        const whole = [...values, 0, 0, 0].slice(0, 4).join('.');
        expect(parseInetAddress(values.join('.'))).toBe(whole);
      }),
    );
  });
});
