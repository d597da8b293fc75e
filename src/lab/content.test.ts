import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, ContentSource, parseContentRequest } from './content.ts';

function make(totalBytes: number, seed: number, pieceBlocks: number): Buffer {
  const source = new ContentSource(totalBytes, seed);
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = source.next(new Uint8Array(pieceBlocks * BLOCK_BYTES));
    if (piece.length === 0) break;
    pieces.push(Buffer.from(piece));
  }
  expect(source.leftBytes).toBe(0);
  return Buffer.concat(pieces);
}

describe('ContentSource', () => {
  it('is the same however it is taken, as long as asked for, and a prefix of anything longer', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5 * BLOCK_BYTES }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 4 }),
        (totalBytes, seed, pieceBlocks) => {
          const made = make(totalBytes, seed, pieceBlocks);
          expect(made.length).toBe(totalBytes);
          expect(made.equals(make(totalBytes + 1000, seed, 1).subarray(0, totalBytes))).toBe(true);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('has no two equal blocks, and differs with the seed', () => {
    const made = make(4 * BLOCK_BYTES, 1, 2);
    const blocks = [0, 1, 2, 3].map((i) => made.toString('hex', i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES));
    expect(new Set(blocks).size).toBe(4);
    expect(made.equals(make(4 * BLOCK_BYTES, 2, 2))).toBe(false);
  });
});

it.each([
  ['/bytes/0', { kind: 'bytes', totalBytes: 0, seed: 0 }],
  ['/bytes/123?seed=45', { kind: 'bytes', totalBytes: 123, seed: 45 }],
  ['/upload', { kind: 'upload' }],
  ['/bytes/-1', { kind: 'unknown' }],
  ['/bytes/1e3', { kind: 'unknown' }],
  ['/bytes/1&seed=2', { kind: 'unknown' }],
  ['/', { kind: 'unknown' }],
])('parseContentRequest(%s)', (target, expected) => expect(parseContentRequest(target)).toEqual(expected));
