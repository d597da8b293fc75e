import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAttributes, PayloadWriter } from './attributes.ts';

describe('attributes', () => {
  it('reads back what was written, for any sequence of values', () => {
    const value = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 0x3fff }), value), { selector: ([t]) => t }),
        (list) => {
          const writer = new PayloadWriter(8);
          for (const [type, bytes] of list) writer.bytes(type, bytes);
          const parsed = parseAttributes(writer.finish());
          expect(parsed.truncated).toBe(false);
          for (const [type, bytes] of list) expect(parsed.bytes(type)).toEqual(bytes);
        },
      ),
    );
  });

  it('gives typed values, nests and lists', () => {
    const bytes = new PayloadWriter(4)
      .u8(1, 0xab)
      .u16(2, 0xabcd)
      .u32(3, 0xabcdef01)
      .s32(4, -2)
      .u64(5, 2n ** 63n)
      .text(6, 'wifi0')
      .nest(7, (nest) => nest.u32(1, 5).nest(2, (inner) => inner.text(1, 'deep')))
      .flag(8)
      .finish();
    const parsed = parseAttributes(bytes);
    expect(parsed.u8(1)).toBe(0xab);
    expect(parsed.u16(2)).toBe(0xabcd);
    expect(parsed.be16(2)).toBe(0xcdab);
    expect(parsed.u32(3)).toBe(0xabcdef01);
    expect(parsed.s32(4)).toBe(-2);
    expect(parsed.u64(5)).toBe(2n ** 63n);
    expect(parsed.text(6)).toBe('wifi0');
    expect(parsed.nested(7)?.nested(2)?.text(1)).toBe('deep');
    expect(parsed.list(7)).toHaveLength(2);
    expect(parsed.has(8)).toBe(true);
    expect(parsed.u32(8)).toBeUndefined();
    expect(parsed.u64(3)).toBeUndefined();
  });

  it('takes for an address only what has the length of one', () => {
    const bytes = new PayloadWriter();
    for (let length = 0; length <= 20; length++) bytes.bytes(length + 1, new Uint8Array(length).fill(1));
    const parsed = parseAttributes(bytes.finish());
    const found = Array.from({ length: 21 }, (_, length) => parsed.ip(length + 1));
    expect(found.filter((text) => text !== undefined)).toEqual([
      '1.1.1.1',
      '101:101:101:101:101:101:101:101',
    ]);
    expect(found[4]).toBe('1.1.1.1');
    expect(parsed.ip(99)).toBeUndefined();
  });

  it('keeps what is whole of every truncated prefix, and says that it was cut', () => {
    const bytes = new PayloadWriter().u32(1, 1).text(2, 'name').u32(3, 3).finish();
    for (let length = 0; length < bytes.length; length++) {
      const parsed = parseAttributes(bytes.subarray(0, length));
      expect(parsed.has(1)).toBe(length >= 8);
      expect(parsed.has(3)).toBe(false);
      // A cut within the padding of `name\0` (bytes 17 to 20) loses nothing.
      const atEdge = length === 0 || length === 8 || (length >= 17 && length <= 20);
      expect(parsed.truncated).toBe(!atEdge);
    }
  });

  it('never throws on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const parsed = parseAttributes(bytes);
        for (let type = 0; type < 8; type++) {
          parsed.text(type);
          parsed.u64(type);
          parsed.nested(type);
          parsed.list(type);
        }
      }),
    );
  });
});
