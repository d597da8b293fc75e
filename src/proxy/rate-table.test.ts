import { describe, expect, it } from 'vitest';
import { RateTable } from './rate-table.ts';

describe('RateTable', () => {
  const make = (maxKeys = 10) => new RateTable({ burst: 3, perSecond: 2, maxKeys });

  it('gives a burst, then as fast as it refills', () => {
    const table = make();
    expect([1, 2, 3, 4].map(() => table.take('a', 0))).toEqual([0, 0, 0, 500]);
    expect(table.take('a', 499)).toBe(1);
    expect(table.take('a', 500)).toBe(0);
    expect(table.take('a', 500)).toBe(500);
    expect(table.take('b', 500)).toBe(0);
  });

  it('never holds more than the burst, and forgets who is at rest', () => {
    const table = make();
    table.take('a', 0);
    expect(table.waitMs('a', 1_000_000)).toBe(0);
    expect(table.size).toBe(0);
    expect([1, 2, 3, 4].map(() => table.take('a', 1_000_000))).toEqual([0, 0, 0, 500]);
  });

  it('can be spent beyond its end, and owes nothing', () => {
    const table = make();
    for (let i = 0; i < 100; i++) table.spend('a', 0);
    expect(table.waitMs('a', 0)).toBe(500);
  });

  it('is bounded', () => {
    const table = new RateTable({ burst: 1, perSecond: 1, maxKeys: 2 });
    for (const key of ['a', 'b', 'a', 'c']) table.spend(key, 0);
    expect(table.size).toBe(2);
    // "b" was used longest ago, and is as one that was never seen.
    expect(['a', 'b', 'c'].map((key) => table.waitMs(key, 0))).toEqual([1000, 0, 1000]);
  });

  it('does not mind a clock that stands or goes back', () => {
    const table = make();
    table.take('a', 1000);
    expect(table.take('a', 0)).toBe(0);
  });
});
