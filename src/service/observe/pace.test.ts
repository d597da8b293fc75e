import { expect, it } from 'vitest';
import { Pace } from './pace.ts';

it('looks often while somebody watches, more often at a suspicion, seldom else', () => {
  const pace = new Pace();
  pace.handleLook(1000, 1001, 1);
  expect([pace.dueMs(true), pace.dueMs(false)]).toEqual([1500, 3000]);
  pace.suspicious = true;
  expect([pace.dueMs(true), pace.dueMs(false)]).toEqual([1200, 3000]);
});

it('never takes more than a twentieth of the time, whatever a single look was held up', () => {
  const pace = new Pace();
  for (const costMs of [60, 60, 900, 60, 60]) pace.handleLook(0, costMs, costMs);
  expect(pace.intervalMs(true)).toBe(1200);
  for (let i = 0; i < 5; i++) pace.handleLook(0, 300, 300);
  expect(pace.intervalMs(false)).toBe(6000);
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
