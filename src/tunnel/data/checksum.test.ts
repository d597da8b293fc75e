import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileChecksums } from './checksum.ts';
import { ChecksumTwin, foldSum, sumBytes } from './checksum-twin.ts';
import { PacketMemory } from './packet-memory.ts';
import { webAssembly } from './web-assembly.ts';

const PAGE = 65_536;
const PAGES = 3;

function makePair() {
  const wasm = new webAssembly!.Memory({ initial: PAGES, maximum: PAGES });
  return {
    bytes: new Uint8Array(wasm.buffer),
    words: new Uint32Array(wasm.buffer),
    simd: compileChecksums(wasm)!,
    twin: new ChecksumTwin(wasm.buffer),
  };
}

/** RFC 1071 by its definition, without any trick. */
function naiveSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) {
    sum += bytes[i]! * (i % 2 === 0 ? 256 : 1);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

const place = fc.record({ at: fc.nat(300), length: fc.nat(4000) });
const content = fc.oneof(
  fc.uint8Array({ minLength: 4300, maxLength: 4300 }),
  fc.constantFrom(0, 0xff).map((value) => new Uint8Array(4300).fill(value)),
);

describe('checksums', () => {
  it('of the example in RFC 1071 section 3', () => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    expect(sumBytes(bytes, 0, 8)).toBe(0xddf2);
  });

  it('fold carries of large sums', () => {
    expect(foldSum(0xffff)).toBe(0xffff);
    expect(foldSum(0x10000)).toBe(1);
    expect(foldSum(0xffff * 0xffff)).toBe(0xffff);
    expect(foldSum(2 ** 47)).toBe(2 ** 15);
  });

  it('are the same by definition, in TypeScript and with SIMD, at any place and of any length', () => {
    const { bytes, simd, twin } = makePair();
    fc.assert(
      fc.property(content, place, (data, { at, length }) => {
        bytes.set(data);
        const expected = naiveSum(data.subarray(at, at + length));
        expect(twin.sum(at, length)).toBe(expected);
        expect(simd.sum(at, length)).toBe(expected);
      }),
    );
  });

  it('of 64 KiB of ones do not overflow, up to the last byte of the memory', () => {
    const { bytes, simd, twin } = makePair();
    bytes.fill(0xff);
    for (const length of [65_535, 65_536, 65_537]) {
      const at = PAGES * PAGE - length;
      expect(simd.sum(at, length)).toBe(twin.sum(at, length));
      expect(simd.sum(at, length)).toBe(naiveSum(bytes.subarray(at)));
    }
  });

  it('of pieces are the sums of each piece, and nothing beyond the table is written', () => {
    const { bytes, words, simd, twin } = makePair();
    const table = PAGE;
    fc.assert(
      fc.property(content, place, fc.integer({ min: 1, max: 1500 }), (data, { at, length }, stride) => {
        bytes.set(data);
        const count = Math.ceil(length / stride);
        const expected = Array.from({ length: count }, (_, i) =>
          sumBytes(bytes, at + i * stride, Math.min(stride, length - i * stride)),
        );
        for (const sums of [simd, twin]) {
          words.fill(0xdeadbeef, table / 4, table / 4 + count + 1);
          sums.sumPieces(at, length, stride, table);
          expect([...words.subarray(table / 4, table / 4 + count)]).toEqual(expected);
          expect(words[table / 4 + count]).toBe(0xdeadbeef);
        }
      }),
    );
    simd.sumPieces(0, 100, 0, table);
    twin.sumPieces(0, 100, 0, table);
  });

  it('code in the tree is what the compiler makes of the source', () => {
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    const made = execFileSync(process.execPath, ['scripts/build-checksum.mjs', '--print'], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(made).toBe(readFileSync(new URL('checksum-code.ts', import.meta.url), 'utf8'));
  }, 30_000);
});

describe('PacketMemory', () => {
  it('gives regions that do not overlap, aligned, and refuses when it is full', () => {
    const memory = new PacketMemory(PAGE);
    expect(memory.lengthBytes).toBe(PAGE);
    expect(memory.reserve(10)).toBe(0);
    expect(memory.reserve(10)).toBe(64);
    expect(memory.reserve(4, 4)).toBe(76);
    expect(memory.reserve(PAGE - 128)).toBe(128);
    expect(() => memory.reserve(1, 1)).toThrow(/no room for 1 more/);
  });

  it('writes vectors that lead to its bytes', () => {
    const memory = new PacketMemory(PAGE);
    memory.reserve(100);
    const at = memory.reserve(16);
    memory.writeIovec(at, 1000, 77);
    expect(memory.view.getBigUint64(at, true)).toBe(BigInt(memory.addressAt(1000)));
    expect(memory.view.getBigUint64(at + 8, true)).toBe(77n);
    memory.writePointer(at + 8, 5);
    memory.writeLength(at, 9);
    expect(memory.view.getBigUint64(at + 8, true)).toBe(BigInt(memory.addressAt(5)));
    expect(memory.view.getBigUint64(at, true)).toBe(9n);
  });

  it('copies and sums where the packets lie', () => {
    const memory = new PacketMemory(PAGE);
    memory.bytes.set([1, 2, 3, 4, 5]);
    memory.copy(2, 0, 5);
    expect([...memory.bytes.subarray(0, 8)]).toEqual([1, 2, 1, 2, 3, 4, 5, 0]);
    expect(memory.sum(2, 5)).toBe(0x0102 + 0x0304 + 0x0500);
    expect(memory.isSlow).toBe(false);
  });
});
