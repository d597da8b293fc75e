import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DUPLICATE_WINDOW, DuplicateFilter } from './duplicate-filter.ts';

it('lets each number pass once, whatever the order of the copies', () => {
  const arrival = fc.record({
    lag: fc.integer({ min: 0, max: 300 }),
    isLost: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(arrival, { maxLength: 200, size: 'max' }),
      fc.constantFrom(0, 7000, 2 ** 32 - 100),
      (lags, first) => {
        const filter = new DuplicateFilter(2);
        // Path 0 is quick and loses some, path 1 lags.
        const lag = lags[0]?.lag ?? 0;
        const arrivals = lags
          .flatMap(({ isLost }, i) => [
            ...(isLost ? [] : [{ sequence: (first + i) >>> 0, path: 0, at: i }]),
            { sequence: (first + i) >>> 0, path: 1, at: i + lag },
          ])
          .sort((a, b) => a.at - b.at);
        const seen = new Set<number>();
        for (const { sequence, path, at } of arrivals) {
          expect(filter.accept(sequence, path, at)).toBe(!seen.has(sequence));
          seen.add(sequence);
        }
        expect(seen.size).toBe(lags.length);
      },
    ),
    { numRuns: 300 },
  );
});

it('agrees with a set, under any numbers of a window', () => {
  const numbers = fc.array(fc.integer({ min: 1000, max: 3000 }), { maxLength: 300, size: 'max' });
  fc.assert(
    fc.property(numbers, (sequences) => {
      // No path: nothing is taken for a restart.
      const filter = new DuplicateFilter(0);
      const seen = new Set<number>();
      for (const sequence of sequences) {
        expect(filter.accept(sequence, 0, 0)).toBe(!seen.has(sequence));
        seen.add(sequence);
      }
    }),
  );
});

it('refuses what is older than the window, and jumps ahead', () => {
  const filter = new DuplicateFilter(0);
  expect(filter.accept(100_000, 0, 0)).toBe(true);
  expect(filter.accept(100_000 - DUPLICATE_WINDOW, 0, 0)).toBe(false);
  expect(filter.accept(100_001 - DUPLICATE_WINDOW, 0, 0)).toBe(true);
  expect(filter.accept(200_000, 0, 0)).toBe(true);
  expect(filter.accept(200_000, 0, 0)).toBe(false);
  expect(filter.accept(199_999, 0, 0)).toBe(true);
});

it('forgets what the window has passed', () => {
  const filter = new DuplicateFilter(2);
  for (let i = 0; i < 3 * DUPLICATE_WINDOW; i += 3) {
    expect(filter.accept(i, 0, 0)).toBe(true);
    if (i > 100) expect(filter.accept(i - 98, 1, 0)).toBe(true);
    expect(filter.accept(i, 1, 0)).toBe(false);
  }
});

it('recognises a peer that counts anew, within the window too', () => {
  const filter = new DuplicateFilter(2);
  for (let i = 0; i < 5000; i++) for (const path of [0, 1]) filter.accept(i, path, 0);
  const accepted = [0, 1, 2, 3].map((i) => [filter.accept(i, 0, 0), filter.accept(i, 1, 0)]);
  expect(accepted).toEqual([0, 1, 2, 3].map(() => [true, false]));
});

it('recognises a peer that counts anew soon after it began, by the rest of the path', () => {
  const filter = new DuplicateFilter(2);
  const accept = (sequence: number, nowMs: number) =>
    [0, 1].map((path) => filter.accept(sequence, path, nowMs));
  expect([0, 1, 2, 3, 4].map((i) => accept(i, 10 * i))).toEqual(
    Array.from({ length: 5 }, () => [true, false]),
  );
  expect([0, 1, 2].map((i) => accept(i, 300 + 10 * i))).toEqual(
    Array.from({ length: 3 }, () => [true, false]),
  );
  // A copy without a rest is one still.
  expect(accept(2, 320)).toEqual([false, false]);
});
