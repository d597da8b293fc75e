/** Which events the page knows and shows. */
import { expect, it } from 'vitest';
import { EVENTS_KEPT_MAX, OBSERVED_EVENT_KINDS, type ObservedEvent } from '../../../service/observe/model.ts';
import {
  EventLog,
  EVENTS_KNOWN_MAX,
  EVENTS_SHOWN_MAX,
  matchesFilter,
  newestMatching,
  OBSERVED_KINDS,
} from './event-log.ts';

const NO_FILTER = { hidden: new Set<never>(), search: '' };

const event = (time: number, changes: Partial<ObservedEvent> = {}): ObservedEvent => ({
  time,
  kind: 'path',
  event: 'down',
  text: `path ${time} is down`,
  fields: {},
  ...changes,
});

const shownOf = (log: EventLog) => newestMatching(log.events, NO_FILTER).shown;
const timesOf = (log: EventLog) => shownOf(log).map((one) => one.event.time);

it('knows as many as Weft keeps, and all kinds', () => {
  expect(EVENTS_KNOWN_MAX).toBe(EVENTS_KEPT_MAX);
  expect(OBSERVED_KINDS).toEqual(OBSERVED_EVENT_KINDS);
});

it('shows the newest first, each with a number of its own', () => {
  const log = new EventLog();
  log.replace([event(1), event(2)], 7);
  log.add(event(3));
  expect(timesOf(log)).toEqual([3, 2, 1]);
  expect(log.leftOut).toBe(7);
  const numbers = shownOf(log).map((one) => one.number);
  expect(new Set(numbers).size).toBe(3);
});

it('has what came while the list was asked for once only', () => {
  const log = new EventLog();
  log.replace([event(1), event(2), event(3)], 0, [event(2), event(3), event(4)]);
  expect(timesOf(log)).toEqual([4, 3, 2, 1]);
});

it('is bounded, and says how many it let go', () => {
  const log = new EventLog();
  const count = 3 * EVENTS_KNOWN_MAX;
  for (let i = 0; i < count; i++) log.add(event(i));
  expect(log.size).toBeLessThanOrEqual(EVENTS_KNOWN_MAX + 200);
  expect(log.leftOut + log.size).toBe(count);
  expect(shownOf(log)).toHaveLength(EVENTS_SHOWN_MAX);
  expect(timesOf(log)[0]).toBe(count - 1);
  expect(newestMatching(log.events, NO_FILTER).found).toBe(log.size);
});

it('finds by kind, and by words in text, name and fields', () => {
  const one = event(1, {
    kind: 'mptcp',
    event: 'subflow-closed',
    text: 'a subflow was closed',
    fields: { reset_reason: 'middlebox', token: 42 },
  });
  const matches = (search: string, hidden: readonly ObservedEvent['kind'][] = []) =>
    matchesFilter(one, { search, hidden: new Set(hidden) });
  expect(matches('')).toBe(true);
  expect(matches('SUBFLOW middle')).toBe(true);
  expect(matches('token 42')).toBe(true);
  expect(matches('subflow absent')).toBe(false);
  expect(matches('', ['path'])).toBe(true);
  expect(matches('', ['mptcp'])).toBe(false);
});
