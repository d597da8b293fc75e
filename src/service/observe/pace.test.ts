import { expect, it } from 'vitest';
import { Pace } from './pace.ts';

it('looks often while somebody watches, more often at what may fall silent, seldom else', () => {
  const pace = new Pace();
  pace.handleLook(1000, 1001, 1);
  expect([pace.dueMs(true), pace.dueMs(false)]).toEqual([1500, 3000]);
  pace.busy = true;
  expect([pace.dueMs(true), pace.dueMs(false)]).toEqual([1125, 3000]);
});

it('tells of looks at the ordinary pace, and of changes sooner', () => {
  const pace = new Pace();
  pace.busy = true;
  pace.begin();
  expect([125, 250, 375, 500].map((sinceMs) => pace.endsWindow(sinceMs))).toEqual([
    false,
    false,
    false,
    true,
  ]);
  expect(pace.isHurriedLook).toBe(false);
  pace.hurry();
  pace.begin();
  expect([125, 250].map((sinceMs) => pace.endsWindow(sinceMs))).toEqual([false, true]);
  expect(pace.isHurriedLook).toBe(true);
  expect([pace.toldIntervalMs(true), pace.toldIntervalMs(false)]).toEqual([500, 2000]);
});

it('looks no more often for what may fall silent where looks are dear', () => {
  const pace = new Pace();
  pace.busy = true;
  for (let i = 0; i < 5; i++) pace.handleLook(0, 30, 25);
  expect([pace.intervalMs(true), pace.toldIntervalMs(true)]).toEqual([500, 500]);
  for (let i = 0; i < 5; i++) pace.handleLook(0, 60, 60);
  expect([pace.intervalMs(true), pace.toldIntervalMs(true)]).toEqual([1200, 1200]);
});

it('never takes more than a twentieth of the time, whatever a single look was held up', () => {
  const pace = new Pace();
  for (const costMs of [60, 60, 900, 60, 60]) pace.handleLook(0, costMs, costMs);
  expect(pace.intervalMs(true)).toBe(1200);
  for (let i = 0; i < 5; i++) pace.handleLook(0, 300, 300);
  expect(pace.intervalMs(false)).toBe(6000);
});

it('looks when something awaited may be there, if somebody watches, and not at once again', () => {
  const pace = new Pace();
  pace.handleLook(1000, 1002, 2);
  pace.busy = true;
  pace.awaitedMs = 80;
  expect([pace.dueMs(true), pace.dueMs(false)]).toEqual([1080, 3000]);
  pace.awaitedMs = 5;
  expect(pace.dueMs(true)).toBe(1052);
  pace.awaitedMs = 900;
  expect(pace.dueMs(true)).toBe(1125);
});

it('looks soon after a change, but not at once again after each of a thousand', () => {
  const pace = new Pace();
  pace.handleLook(1000, 1004, 4);
  pace.hurry();
  expect(pace.dueMs(false)).toBe(1054);
  pace.begin();
  pace.handleLook(1054, 1058, 4);
  expect(pace.dueMs(false)).toBe(3054);
  for (let i = 0; i < 5; i++) pace.handleLook(2000, 2100, 100);
  // A change during a look is seen by the next one.
  pace.begin();
  pace.hurry();
  pace.handleLook(2000, 2100, 100);
  expect(pace.dueMs(false)).toBe(2500);
});
