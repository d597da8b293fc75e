/** The words of the totals. */
import { expect, it } from 'vitest';
import { aPath, anOverview } from '../../service/observe/test-readings.ts';
import { totalFigures } from './totals.ts';

const pathsOf = (...states: Parameters<typeof aPath>[1][]) =>
  totalFigures(
    anOverview({ paths: states.map((change, number) => aPath(`l${number} 10.0.0.${number}`, change)) }),
  ).find(({ label }) => label === 'Active paths');

it('says how many paths are active, and what the others are', () => {
  expect(pathsOf({}, {})).toMatchObject({ figure: '2 of 2', detail: 'all of them' });
  expect(pathsOf({}, { state: 'down' }, { state: 'backup' })).toMatchObject({
    figure: '1 of 3',
    detail: '1 backup, 1 down',
  });
  expect(pathsOf()).toMatchObject({ figure: '0 of 0', detail: 'there is none' });
});
