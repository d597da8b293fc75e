import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DEFAULT_RETRY_TIMES, retryDelayMs } from './retry-pace.ts';

const times = { firstMs: 1000, longestMs: 60_000, stableMs: 10_000 };

it('doubles from the first delay up to the longest', () => {
  const delays = [1, 2, 3, 6, 7, 8, 1000, Infinity].map((failures) => retryDelayMs(failures, times, 1));
  expect(delays).toEqual([1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000, 60_000]);
});

it('is shortened by chance, by half at most', () => {
  fc.assert(
    fc.property(fc.nat({ max: 100 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
      const longest = retryDelayMs(failures, DEFAULT_RETRY_TIMES, 1);
      const delay = retryDelayMs(failures, DEFAULT_RETRY_TIMES, random);
      expect(delay).toBeGreaterThanOrEqual(longest / 2);
      expect(delay).toBeLessThanOrEqual(longest);
    }),
  );
});
