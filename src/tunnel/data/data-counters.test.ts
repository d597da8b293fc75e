import { expect, it } from 'vitest';
import { readConnectionCounters, readTotalCounters } from './data-counters.ts';
import {
  COUNTED_PATHS_MAX,
  InboundCounter,
  InboundPathCounter,
  InboundTotal,
  newCounterBlock,
  OutboundCounter,
  OutboundPathCounter,
  OutboundTotal,
  pathField,
} from './protocol.ts';

/** Each place says its own index. */
const block = (from: number) => new Float64Array(newCounterBlock()).map((_, i) => from + i);

const namesOf = (layout: Readonly<Record<string, number>>, from: number, at = 0) =>
  Object.fromEntries(Object.entries(layout).map(([name, field]) => [name, from + at + field]));

it('reads every field from its place, of as many paths as there are', () => {
  const counters = readConnectionCounters(block(0), block(10_000), COUNTED_PATHS_MAX);
  expect(counters.sent).toEqual(namesOf(OutboundCounter, 0));
  expect(counters.received).toEqual(namesOf(InboundCounter, 10_000));
  expect(counters.paths.length).toBe(COUNTED_PATHS_MAX);
  for (const [path, { sent, received }] of counters.paths.entries()) {
    expect(sent).toEqual(namesOf(OutboundPathCounter, 0, pathField(path, 0)));
    expect(received).toEqual(namesOf(InboundPathCounter, 10_000, pathField(path, 0)));
  }
  const places = counters.paths.flatMap(({ sent }) => Object.values(sent));
  expect(new Set(places).size).toBe(places.length);
});

it('reads the totals', () => {
  expect(readTotalCounters(block(0), block(500))).toEqual({
    sent: namesOf(OutboundTotal, 0),
    received: namesOf(InboundTotal, 500),
  });
});
