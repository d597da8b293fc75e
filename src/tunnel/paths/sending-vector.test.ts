import fc from 'fast-check';
import { expect, it } from 'vitest';
import { buildSendingVector, finalIncrement, sendingVectorLength } from './sending-vector.ts';

const vectorOf = (...weights: number[]) => [...buildSendingVector(weights)];

/** The algorithm as it is published, with sums in whole multiples of a common multiple. */
function naive(weights: readonly number[]): { vector: number[]; final: bigint } {
  if (weights.length === 0) return { vector: [], final: 0n };
  const common = weights.reduce((product, weight) => product * BigInt(weight), 1n);
  const increments = weights.map((weight) => common / BigInt(weight));
  const sums = weights.map(() => 0n);
  const vector: number[] = [];
  do {
    let best = 0;
    for (let path = 1; path < weights.length; path++) {
      if (sums[path]! + increments[path]! < sums[best]! + increments[best]!) best = path;
    }
    sums[best]! += increments[best]!;
    vector.push(best);
  } while (sums.some((sum) => sum !== sums[0]));
  return { vector, final: sums[0]! };
}

it('is the published one', () => {
  expect(vectorOf(1, 1)).toEqual([0, 1]);
  expect(vectorOf(10, 10)).toEqual([0, 1]);
  expect(vectorOf(1, 3)).toEqual([1, 1, 0, 1]);
  expect(vectorOf(12, 18, 15)).toHaveLength(15);
  expect(vectorOf(7)).toEqual([0]);
  expect(vectorOf()).toEqual([]);
  expect(finalIncrement([10, 10])).toBe(1n);
});

it('is what the naive form makes, for any weights', () => {
  const weight = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 300 }));
  fc.assert(
    fc.property(fc.array(weight, { minLength: 1, maxLength: 6, size: 'max' }), (weights) => {
      const { vector, final } = naive(weights);
      expect([...buildSendingVector(weights)]).toEqual(vector);
      // The naive common multiple is a multiple of the least.
      expect(final % finalIncrement(weights)).toBe(0n);
    }),
    { numRuns: 300 },
  );
});

it('has each path as often as its weight says, in full and in every part', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20, size: 'max' });
  fc.assert(
    fc.property(weights, (given) => {
      const vector = buildSendingVector(given);
      expect(vector).toHaveLength(sendingVectorLength(given));
      expect(vector.length).toBeLessThanOrEqual(given.reduce((sum, one) => sum + one, 0));
      const total = given.reduce((sum, one) => sum + one, 0);
      const counts = given.map(() => 0);
      for (const [position, path] of vector.entries()) {
        counts[path]!++;
        // Never more than one turn behind or, for each other path, ahead of the exact share.
        const share = ((position + 1) * given[path]!) / total;
        expect(Math.abs(counts[path]! - share)).toBeLessThanOrEqual(given.length);
      }
      for (const [path, count] of counts.entries()) expect(count * total).toBe(given[path]! * vector.length);
    }),
    { numRuns: 100 },
  );
});

it('holds the largest configuration', () => {
  const weights = Array.from({ length: 20 }, (_value, path) => 10_000 - path);
  expect(buildSendingVector(weights)).toHaveLength(199_810);
});
