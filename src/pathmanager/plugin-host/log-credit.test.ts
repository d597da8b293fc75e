import { expect, it } from 'vitest';
import { LINES_PER_SECOND, LogAccount, LogCredit, MAX_UNHANDLED_LINES } from './log-credit.ts';

it('bounds lines in a second, counts the others, tells once of them', () => {
  const account = new LogAccount();
  const credit = new LogCredit(account.memory);
  for (let i = 0; i < LINES_PER_SECOND; i++) {
    expect(credit.take(0)).toBe(true);
    account.handled();
  }
  expect([credit.take(1), credit.take(2), credit.take(999)]).toEqual(['first', false, false]);
  expect(account.takeDropped()).toBe(3);
  expect(account.takeDropped()).toBe(0);
  expect(credit.take(1000)).toBe(true);
});

it('bounds lines that are not handled yet', () => {
  const account = new LogAccount();
  const credit = new LogCredit(account.memory);
  for (let i = 0; i < MAX_UNHANDLED_LINES; i++) credit.take(0);
  expect(credit.take(5000)).toBe('first');
  account.handled();
  expect(credit.take(5000)).toBe(true);
  expect(credit.take(5000)).toBe(false);
});
