import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { CallWatch } from './call-watch.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function make(budgetMs = 100) {
  const told: string[] = [];
  const watch = new CallWatch(budgetMs, {
    onFailed: (callback, error) => told.push(`${callback} failed: ${error}`),
    onLate: (callback) => told.push(`${callback} late`),
  });
  return { told, watch };
}

it('tells who rejects and who is late, once, and forgets who is done', async () => {
  const { told, watch } = make();
  watch.add('never', new Promise(() => {}));
  watch.add('done', Promise.resolve());
  watch.add('rejects', Promise.reject(new Error('no')));
  await vi.advanceTimersByTimeAsync(50);
  watch.add('later', new Promise(() => {}));
  expect(told).toEqual(['rejects failed: no']);
  await vi.advanceTimersByTimeAsync(51);
  expect(told).toEqual(['rejects failed: no', 'never late']);
  await vi.advanceTimersByTimeAsync(1000);
  expect(told).toEqual(['rejects failed: no', 'never late', 'later late']);
  expect(watch.size).toBe(0);
});

it('watches a bounded number', () => {
  const { watch } = make();
  for (let i = 0; i < 10_000; i++) watch.add('never', new Promise(() => {}));
  expect(watch.size).toBe(4096);
  watch.close();
  expect(watch.size).toBe(0);
});
