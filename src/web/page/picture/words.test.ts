/** What the picture says, to those who see it and those who do not. */
import { expect, it } from 'vitest';
import { aPath, anOverview } from '../../../service/observe/test-readings.ts';
import { pictureOf } from './model.ts';
import { changesBetween, pictureSummary, qualityText, ratesText } from './words.ts';

const WLAN = 'wlan0 192.0.2.7';
const LTE = 'lte0 198.51.100.7';
const rowOf = (changes: Parameters<typeof aPath>[1]) =>
  pictureOf(anOverview({ paths: [aPath(WLAN, changes)] })).rows[0]!;

it('on a line: rates, and below them time and loss', () => {
  const busy = rowOf({
    receivedBitsPerSecond: 43.1e6,
    sentBitsPerSecond: 1.2e6,
    rttUs: 12_400,
    lossShare: 0.003,
  });
  expect(ratesText(busy)).toBe('↓ 43.1 Mbit/s  ↑ 1.2 Mbit/s');
  expect(qualityText(busy)).toBe('12.4 ms RTT · 0.3 % lost');
  expect([ratesText(rowOf({})), ratesText(rowOf({ subflows: 0 }))]).toEqual(['idle', 'not used now']);
});

it('of a broken one: that it is, and why', () => {
  const down = rowOf({
    state: 'down',
    why: 'its link has no carrier',
    receivedBitsPerSecond: 5e6,
    rttUs: 10,
  });
  expect([ratesText(down), qualityText(down)]).toEqual(['cut off', 'its link has no carrier']);
  expect(qualityText(rowOf({ state: 'stale' }))).toBe('stale');
});

it('the whole in two sentences', () => {
  const paths = [aPath(WLAN, { receivedBitsPerSecond: 5e6 }), aPath(LTE, { state: 'down' })];
  expect(pictureSummary(pictureOf(anOverview({ paths })))).toBe(
    'laptop has 2 paths: 1 active, 1 down. wlan0 192.0.2.7 carries data: receiving 0 bit/s, sending 0 bit/s.',
  );
  expect(pictureSummary(pictureOf(anOverview({ paths: [] })))).toBe('laptop has no path.');
});

it('tells only what changed', () => {
  const picture = (...paths: ReturnType<typeof aPath>[]) => pictureOf(anOverview({ paths }));
  const both = picture(aPath(WLAN), aPath(LTE));
  expect(changesBetween(both, picture(aPath(WLAN, { sentBitsPerSecond: 9e6 }), aPath(LTE)))).toEqual([]);
  expect(changesBetween(both, picture(aPath(WLAN, { state: 'down', why: 'no carrier' })))).toEqual([
    'wlan0 192.0.2.7 is down: no carrier.',
    'lte0 198.51.100.7 is gone.',
  ]);
  expect(changesBetween(picture(aPath(WLAN)), both)).toEqual(['New path lte0 198.51.100.7, active.']);
});
