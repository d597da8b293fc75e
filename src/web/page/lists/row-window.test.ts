/** Which rows are drawn and asked for, at any place of any list. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { askedRows, ASK_STEP, rowAfterKey, ROWS_BEYOND, shownRows } from './row-window.ts';

const view = (scrollTop: number, rowCount: number) =>
  shownRows({ scrollTop, viewHeight: 300, rowHeight: 30, rowCount });

it('shows the rows on the screen and some beyond', () => {
  expect(view(0, 2000)).toEqual({ first: 0, end: 10 + ROWS_BEYOND });
  expect(view(3000, 2000)).toEqual({ first: 100 - ROWS_BEYOND, end: 110 + ROWS_BEYOND });
  expect(view(0, 3)).toEqual({ first: 0, end: 3 });
  expect(view(0, 0)).toEqual({ first: 0, end: 0 });
});

it('shows the end of a list that has become shorter than the place in it', () => {
  expect(view(50_000, 20)).toEqual({ first: 2, end: 20 });
  expect(view(50_000, 5)).toEqual({ first: 0, end: 5 });
});

it('asks for all that is shown, in steps, within the most that one answer holds', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -100, max: 400_000 }),
      fc.integer({ min: 0, max: 10_000 }),
      fc.integer({ min: 1, max: 1500 }),
      (scrollTop, rowCount, viewHeight) => {
        const shown = shownRows({ scrollTop, viewHeight, rowHeight: 30, rowCount });
        const { offset, limit } = askedRows(shown, 500);
        expect(shown.first).toBeGreaterThanOrEqual(0);
        expect(shown.end).toBeLessThanOrEqual(rowCount);
        expect(offset % ASK_STEP).toBe(0);
        expect(limit).toBeGreaterThanOrEqual(1);
        expect(limit).toBeLessThanOrEqual(500);
        expect(offset).toBeLessThanOrEqual(shown.first);
        expect(offset + limit).toBeGreaterThanOrEqual(shown.end);
      },
    ),
  );
});

it('never asks for more rows than allowed', () => {
  expect(askedRows({ first: 0, end: 900 }, 500)).toEqual({ offset: 0, limit: 500 });
});

it('moves the chosen row by keys and keeps it in the list', () => {
  expect(rowAfterKey('ArrowDown', 4, 10, 5)).toBe(5);
  expect(rowAfterKey('ArrowDown', 9, 10, 5)).toBe(9);
  expect(rowAfterKey('ArrowUp', 0, 10, 5)).toBe(0);
  expect(rowAfterKey('PageDown', 7, 10, 5)).toBe(9);
  expect(rowAfterKey('PageUp', 7, 10, 5)).toBe(2);
  expect(rowAfterKey('Home', 7, 10, 5)).toBe(0);
  expect(rowAfterKey('End', 7, 10, 5)).toBe(9);
  expect(rowAfterKey('x', 7, 10, 5)).toBeUndefined();
  expect(rowAfterKey('End', 0, 0, 5)).toBeUndefined();
});
