import { expect, it } from 'vitest';
import { TrailingDebounce } from './host-changes.ts';

it('waits for nothing before something happens', () => {
  expect(new TrailingDebounce().dueMs).toBeUndefined();
});

it('looks when a burst is over, after its last message', () => {
  const debounce = new TrailingDebounce();
  for (const ms of [1000, 1010, 1150]) debounce.handleEvent(ms);
  expect(debounce.dueMs).toBe(1350);
  debounce.handleLook();
  expect(debounce.dueMs).toBeUndefined();
  debounce.handleEvent(5000);
  expect(debounce.dueMs).toBe(5200);
});

it('looks at a host that is never quiet too', () => {
  const debounce = new TrailingDebounce();
  for (let ms = 0; ms < 10_000; ms += 100) {
    debounce.handleEvent(ms);
    expect(debounce.dueMs).toBeLessThanOrEqual(2000);
  }
});
