/** Each path keeps its mark, and no two of the first thirty-two look the same. */
import { expect, it } from 'vitest';
import { PathMarks } from './path-marks.ts';

it('a path keeps its mark whatever comes after it', () => {
  const marks = new PathMarks();
  const first = marks.of('wlan0 192.0.2.7');
  for (let number = 0; number < 100; number++) marks.of(`eth${number} 10.0.0.1`);
  expect(marks.of('wlan0 192.0.2.7')).toEqual(first);
});

it('when the colours have gone round, dashes tell them apart', () => {
  const marks = new PathMarks();
  const looks = Array.from({ length: 32 }, (_, number) => JSON.stringify(marks.of(`path ${number}`)));
  expect(new Set(looks).size).toBe(32);
});

it('remembers a bounded number', () => {
  const marks = new PathMarks();
  const first = JSON.stringify(marks.of('first'));
  marks.of('second');
  for (let number = 0; number < 600; number++) marks.of(`path ${number}`);
  expect(JSON.stringify(marks.of('first'))).not.toBe(first);
});
