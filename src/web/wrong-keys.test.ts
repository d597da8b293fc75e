/** Guessing costs time, in virtual time. */
import { expect, it } from 'vitest';
import { DELAY_MAX_MS, DELAYED_MAX, WrongKeys } from './wrong-keys.ts';

it('a few mistakes cost nothing; many cost more and more; in the end all is forgiven', () => {
  const wrong = new WrongKeys();
  const delays = Array.from({ length: 12 }, () => {
    const delayMs = wrong.handleWrong(0);
    wrong.handleAnswered();
    return delayMs;
  });
  expect(delays).toEqual([0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, DELAY_MAX_MS, DELAY_MAX_MS]);
  expect(wrong.handleWrong(60_000)).toBe(0);
  expect(wrong.total).toBe(13);
});

it('only so many are held back at a time', () => {
  const wrong = new WrongKeys();
  for (let i = 0; i < DELAYED_MAX; i++) expect(wrong.handleWrong(0)).toBeDefined();
  expect(wrong.handleWrong(0)).toBeUndefined();
  wrong.handleAnswered();
  expect(wrong.handleWrong(0)).toBeDefined();
});

it('never lets a flood last longer than its end', () => {
  const wrong = new WrongKeys();
  for (let i = 0; i < 1_000_000; i++) {
    if (wrong.handleWrong(0) !== undefined) wrong.handleAnswered();
  }
  expect(wrong.handleWrong(3_000_000)).toBe(0);
});
