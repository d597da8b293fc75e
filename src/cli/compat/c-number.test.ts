import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCNumber, U16_MAX, U32_MAX, U8_MAX } from './c-number.ts';

describe('numbers as C reads them', () => {
  it.each([
    ['0', 0],
    ['7', 7],
    ['010', 8],
    ['0x10', 16],
    ['0X1f', 31],
    ['00', 0],
    ['0x0', 0],
    ['+3', 3],
    [' \t\v\f3', 3],
    [' +3', 3],
    ['-0', 0],
    ['-18446744073709551613', 3],
    ['255', 255],
  ])('%j is %i', (text, value) => expect(parseCNumber(text, U8_MAX)).toBe(value));

  it.each(['', ' ', '+', '-', '--1', '+ 1', '1 ', '1x', '0x', '08', '0b1', '1.0', '1e1', '256', '-1', '١'])(
    '%j is no id',
    (text) => expect(parseCNumber(text, U8_MAX)).toBeUndefined(),
  );

  it('does not wrap around above 2^64', () => {
    for (const text of ['18446744073709551616', '18446744073709551617', '-18446744073709551616']) {
      expect(parseCNumber(text, U32_MAX)).toBeUndefined();
    }
  });

  it('reads back what is written in any of the three bases', () => {
    fc.assert(
      fc.property(fc.nat(U16_MAX), (value) => {
        for (const text of [`${value}`, `0${value.toString(8)}`, `0x${value.toString(16)}`, `+${value}`]) {
          expect(parseCNumber(text, U16_MAX)).toBe(value);
        }
        expect(parseCNumber(`-${(1n << 64n) - BigInt(value)}`, U16_MAX)).toBe(
          value === 0 ? undefined : value,
        );
      }),
    );
  });

  it('never gives more than the field holds, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(U8_MAX, U16_MAX, U32_MAX), (text, max) => {
        const value = parseCNumber(text, max);
        if (value !== undefined) expect(Number.isInteger(value) && value >= 0 && value <= max).toBe(true);
      }),
    );
  });
});
