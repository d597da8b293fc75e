/** Two overviews a second, and at once what changes something. */
import { expect, it } from 'vitest';
import { OverviewPace } from './overview-pace.ts';
import { aPath, anOverview } from '../../service/observe/test-readings.ts';

const T = 1_700_000_000_000;

function taken(...overviews: readonly Parameters<typeof anOverview>[0][]): boolean[] {
  const pace = new OverviewPace();
  return overviews.map((changes) => pace.takes(anOverview(changes)));
}

it('takes two a second of many, whatever the rates', () => {
  const paths = [0, 1, 2, 3, 4, 5].map((rate) => [
    aPath('wlan0 192.0.2.7', { receivedBitsPerSecond: rate * 1e6 }),
  ]);
  expect(taken(...paths.map((each, number) => ({ time: T + number * 200, paths: each })))).toEqual([
    true,
    false,
    false,
    true,
    false,
    false,
  ]);
});

it('takes at once a state, a link, an endpoint, a limit that is another', () => {
  expect(
    taken(
      { time: T },
      { time: T + 50, paths: [aPath('wlan0 192.0.2.7', { state: 'down' })] },
      { time: T + 100, limits: { subflows: 2, addAddrAccepted: 0 } },
      { time: T + 150, limits: { subflows: 3, addAddrAccepted: 0 } },
      { time: T + 200, limits: { subflows: 3, addAddrAccepted: 0 } },
      { time: T + 250, mode: 'single-path' },
    ),
  ).toEqual([true, true, true, true, false, true]);
});

it('goes on when the clock was set back', () => {
  expect(taken({ time: T }, { time: T - 60_000 }, { time: T - 59_900 })).toEqual([true, true, false]);
});
