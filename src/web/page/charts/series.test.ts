/** The charts' values in virtual time: history continued by looks, holes, marks, bounds. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { aPath, anOverview } from '../../../service/observe/test-readings.ts';
import { bridge, ChartSeries, MARKS_MAX, POINTS_MAX, stack } from './series.ts';
import type { History } from '../../../service/observe/model.ts';

const WLAN = 'wlan0 192.0.2.7';
const LTE = 'lte0 198.51.100.7';
const T = 1_700_000_000_000;
const WINDOW = 60_000;

const history = (values: (number | null)[]): History => ({
  stepS: 1,
  times: values.map((_, index) => T - (values.length - 1 - index) * 1000),
  paths: [
    {
      path: WLAN,
      link: 'wlan0',
      address: '192.0.2.7',
      sentBitsPerSecond: values.map(() => 0),
      receivedBitsPerSecond: values,
      rttUs: values.map(() => 10_000),
      retransmissionsPerSecond: values.map(() => 0),
    },
  ],
  marks: [],
});

const look = (time: number, received: number, more: Parameters<typeof aPath>[1] = {}) =>
  anOverview({ time, paths: [aPath(WLAN, { receivedBitsPerSecond: received, ...more })] });

const received = (series: ChartSeries) => series.paths[0]?.values.received;

it('looks continue the history, two of them in one step as their mean', () => {
  const series = new ChartSeries(WINDOW);
  series.load(history([1, 2, 3]), WINDOW);
  series.append(look(T + 500, 10));
  series.append(look(T + 1000, 20));
  series.append(look(T + 1500, 40));
  expect(series.times).toEqual([T - 2000, T - 1000, T, T + 500, T + 1500]);
  expect(received(series)).toEqual([1, 2, 3, 15, 40]);
  expect(series.paths[0]?.values.rttUs.slice(-1)).toEqual([null]);
});

it('time without a look is a hole, and what is old goes', () => {
  const series = new ChartSeries(WINDOW);
  series.append(look(T, 1));
  series.append(look(T + 30_000, 2));
  expect(received(series)).toEqual([1, null, 2]);
  series.append(look(T + 200_000, 3));
  expect(received(series)).toEqual([3]);
});

it('an old look, or a clock set back a little, changes nothing; far back it begins anew', () => {
  const series = new ChartSeries(WINDOW);
  series.append(look(T, 1));
  series.append(look(T - 3000, 2));
  expect(received(series)).toEqual([1]);
  series.append(look(T - 3_600_000, 3));
  expect(received(series)).toEqual([3]);
});

it('marks where a path stopped carrying and where it came back, with nothing in between', () => {
  const series = new ChartSeries(WINDOW);
  expect(series.append(look(T, 5))).toBe(false);
  expect(series.append(look(T + 1000, 5, { state: 'down' }))).toBe(true);
  expect(series.append(look(T + 2000, 5, { state: 'down' }))).toBe(false);
  expect(series.append(look(T + 3000, 6, { state: 'active' }))).toBe(true);
  expect(series.append(look(T + 4000, 6, { state: 'backup' }))).toBe(false);
  expect(series.marks.map(({ text, time }) => [text, time - T])).toEqual([
    ['wlan0 down', 1000],
    ['wlan0 back', 3000],
  ]);
  expect(received(series)).toEqual([5, null, null, 6, 6]);
});

it('a new path has no values before it came', () => {
  const series = new ChartSeries(WINDOW);
  series.append(look(T, 1));
  series.append(
    anOverview({ time: T + 1000, paths: [aPath(WLAN), aPath(LTE, { receivedBitsPerSecond: 7 })] }),
  );
  expect(series.paths.map(({ id, values }) => [id, values.received])).toEqual([
    [WLAN, [1, 0]],
    [LTE, [null, 7]],
  ]);
});

it('stays in its bounds, and all columns as long as the times, whatever comes', () => {
  const step = fc.record({
    afterMs: fc.integer({ min: -5000, max: 20_000 }),
    paths: fc.uniqueArray(fc.integer({ min: 0, max: 90 }), { maxLength: 6 }),
    state: fc.constantFrom('active' as const, 'down' as const, 'stale' as const),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const series = new ChartSeries(WINDOW);
      let time = T;
      for (const { afterMs, paths, state } of steps) {
        time += afterMs;
        series.append(anOverview({ time, paths: paths.map((n) => aPath(`eth${n} 10.0.0.${n}`, { state })) }));
      }
      expect(series.times.length).toBeLessThanOrEqual(POINTS_MAX);
      expect(series.paths.length).toBeLessThanOrEqual(64);
      expect(series.marks.length).toBeLessThanOrEqual(MARKS_MAX);
      expect(series.times).toEqual(series.times.toSorted((a, b) => a - b));
      for (const { values } of series.paths) {
        for (const column of Object.values(values)) expect(column).toHaveLength(series.times.length);
      }
    }),
    { numRuns: 100 },
  );
});

it('bridges short stretches of not knowing, not long ones and not the end', () => {
  const times = [0, 1000, 2000, 3000, 13_000, 14_000];
  expect(bridge(times, [1, null, 3, null, 5, null], 1000)).toEqual([1, 1, 3, null, 5, null]);
});

it('stacks one on the other, a hole only where nothing at all is known', () => {
  expect(
    stack([
      [1, null, null],
      [2, 3, null],
    ]),
  ).toEqual([
    [1, 0, null],
    [3, 3, null],
  ]);
  expect(stack([[1], [2]], -1)).toEqual([[-1], [-3]]);
  expect(stack([])).toEqual([]);
});
