import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CapsuleReader, emitDatagramCapsule, LONGEST_PAYLOAD } from './capsule.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

it('golden bytes: type 0, length, context 0, payload (RFC 9297 section 3.5, RFC 9298 section 5)', () => {
  expect(hex(emitDatagramCapsule(bytes('abcd')))).toBe('000300abcd');
  // 64 needs two bytes: 0x4040.
  expect(hex(emitDatagramCapsule(Buffer.alloc(63, 0xff)))).toBe(`00404000${'ff'.repeat(63)}`);
  expect(hex(emitDatagramCapsule(Buffer.alloc(20_000)).subarray(0, 6))).toBe('0080004e2100');
});

it('what was emitted is read, in any pieces, with others between', () => {
  const payload = fc.uint8Array({ maxLength: 300 });
  const other = fc.constantFrom('17 02 abcd', '40ff 00', '00 02 01 ff', '00 05 4000 abcdef', '00 00');
  fc.assert(
    fc.property(fc.array(fc.oneof(payload, other)), fc.integer({ min: 1, max: 40 }), (items, size) => {
      const wanted = items.flatMap((item) =>
        typeof item === 'string' ? (item.startsWith('00 05') ? ['abcdef'] : []) : [hex(item)],
      );
      const stream = Buffer.concat(
        items.map((i) => (typeof i === 'string' ? bytes(i) : emitDatagramCapsule(i))),
      );
      const reader = new CapsuleReader();
      const got: string[] = [];
      for (let at = 0; at < stream.length; at += size) {
        for (const read of reader.handleBytes(stream.subarray(at, at + size))) got.push(hex(read));
      }
      expect(got).toEqual(wanted);
    }),
  );
});

it('a capsule that claims to be endless costs nothing and is skipped', () => {
  const reader = new CapsuleReader();
  // A datagram of 65,529 bytes is one more than can be; then a capsule of 2^62-1 bytes.
  expect(reader.handleBytes(bytes(`00 80 00 ff f9`))).toEqual([]);
  expect(reader.handleBytes(Buffer.alloc(65_529))).toEqual([]);
  expect(reader.handleBytes(emitDatagramCapsule(bytes('ab'))).map(hex)).toEqual(['ab']);
  expect(reader.handleBytes(bytes('01 ff ff ff ff ff ff ff ff'))).toEqual([]);
  for (let i = 0; i < 100; i++) expect(reader.handleBytes(Buffer.alloc(100_000))).toEqual([]);
});

it('the longest payload', () => {
  const longest = Buffer.alloc(LONGEST_PAYLOAD, 7);
  expect(new CapsuleReader().handleBytes(emitDatagramCapsule(longest))[0]?.length).toBe(LONGEST_PAYLOAD);
});

it('random bytes never throw', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (chunks) => {
      const reader = new CapsuleReader();
      for (const chunk of chunks) reader.handleBytes(chunk);
    }),
  );
});
