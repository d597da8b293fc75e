/** When the lists ask. */
import { expect, it, vi } from 'vitest';
import { atMostEach, calmed, oneAtATime } from './asking.ts';

it('asks once at a time, and once more after calls meanwhile', async () => {
  const ends: (() => void)[] = [];
  const ask = oneAtATime(() => new Promise((resolve) => ends.push(resolve)));
  ask();
  ask();
  ask();
  expect(ends).toHaveLength(1);
  ends[0]!();
  await expect.poll(() => ends.length).toBe(2);
  ends[1]!();
  await new Promise(setImmediate);
  expect(ends).toHaveLength(2);
  ask();
  expect(ends).toHaveLength(3);
});

it('keeps to its interval', () => {
  const times: number[] = [];
  const ask = atMostEach(5000, (nowMs) => times.push(nowMs));
  for (let nowMs = 0; nowMs <= 12_000; nowMs += 500) ask(nowMs);
  expect(times).toEqual([0, 5000, 10_000]);
});

it('calms a storm, and forgets nothing', () => {
  vi.useFakeTimers();
  try {
    let runs = 0;
    const draw = calmed(200, () => runs++);
    draw();
    expect(runs).toBe(1);
    for (let i = 0; i < 100; i++) draw();
    expect(runs).toBe(1);
    vi.advanceTimersByTime(200);
    expect(runs).toBe(2);
    vi.advanceTimersByTime(1000);
    expect(runs).toBe(2);
    draw();
    expect(runs).toBe(3);
  } finally {
    vi.useRealTimers();
  }
});
