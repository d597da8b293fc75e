/** What each chart draws, and says. */
import { expect, it } from 'vitest';
import { PathMarks } from '../path-marks.ts';
import { aPath, anOverview } from '../../../service/observe/test-readings.ts';
import { ChartSeries } from './series.ts';
import { rateView, retransmissionView, rttView } from './views.ts';
import { formatAxis, windowWords } from './words.ts';

const WLAN = 'wlan0 192.0.2.7';
const LTE = 'lte0 198.51.100.7';
const T = 1_700_000_000_000;

function twoPaths(): ChartSeries {
  const series = new ChartSeries(300_000);
  const reading = { rttUs: 20_000, sentBitsPerSecond: 1e6, retransmissionsPerSecond: 0 };
  for (const [index, rate] of [10e6, 30e6].entries()) {
    series.append(
      anOverview({
        time: T + index * 1000,
        paths: [
          aPath(WLAN, { ...reading, receivedBitsPerSecond: rate * 3, rttUs: 10_000 + index * 2000 }),
          aPath(LTE, { ...reading, receivedBitsPerSecond: rate }),
        ],
      }),
    );
  }
  return series;
}

it('stacks the rates, the highest line first, and reads each path by itself', () => {
  const { lines, fromMs, untilMs, read } = rateView(twoPaths(), 'received', new PathMarks(), T + 1000);
  expect([untilMs - fromMs, untilMs]).toEqual([300_000, T + 1000]);
  expect(lines.map(({ color, values }) => [color, values])).toEqual([
    [1, [40e6, 120e6]],
    [0, [30e6, 90e6]],
  ]);
  expect(read(1)).toEqual(['wlan0 90.0 Mbit/s', 'lte0 30.0 Mbit/s']);
});

it('both: what is sent below the axis, in the same colours', () => {
  const { lines, read } = rateView(twoPaths(), 'both', new PathMarks(), T + 1000);
  expect(lines.map(({ color, values }) => [color, values[0]])).toEqual([
    [1, 40e6],
    [0, 30e6],
    [1, -2e6],
    [0, -1e6],
  ]);
  expect(read(0)).toEqual(['wlan0 ↓ 30.0 Mbit/s ↑ 1.0 Mbit/s', 'lte0 ↓ 10.0 Mbit/s ↑ 1.0 Mbit/s']);
});

it('says in words what is drawn', () => {
  const series = twoPaths();
  expect(rateView(series, 'received', new PathMarks(), T).summary).toBe(
    'Receiving 120 Mbit/s now, at most 120 Mbit/s in the last 5 minutes. Over that time: wlan0 75 %, lte0 25 %.',
  );
  expect(rttView(series, new PathMarks(), T).summary).toBe(
    'Now, and the range of the last 5 minutes: wlan0 12.0 ms (10.0 ms to 12.0 ms), ' +
      'lte0 20.0 ms (20.0 ms to 20.0 ms).',
  );
  expect(retransmissionView(series, new PathMarks(), T).summary).toBe(
    'No segment was sent again in the last 5 minutes.',
  );
  expect(rttView(new ChartSeries(60_000), new PathMarks(), T).summary).toBe(
    'No round-trip time is known now.',
  );
});

it('draws one mark for all addresses of a link that goes down', () => {
  const series = new ChartSeries(60_000);
  const at = (time: number, state: 'active' | 'down') =>
    series.append(
      anOverview({ time, paths: [aPath(WLAN, { state }), aPath('wlan0 2001:db8::7', { state })] }),
    );
  at(T, 'active');
  at(T + 1000, 'down');
  at(T + 9000, 'active');
  expect(rttView(series, new PathMarks(), T).marks.map((mark) => mark.text)).toEqual([
    'wlan0 down',
    'wlan0 back',
  ]);
});

it('axes and windows in few letters, the axis below zero without a sign', () => {
  expect([0, 500, 1500, 40e6, -2.5e9].map(formatAxis)).toEqual(['0', '500', '1.5 k', '40 M', '2.5 G']);
  expect([60_000, 300_000, 3_600_000].map(windowWords)).toEqual(['minute', '5 minutes', 'hour']);
});
