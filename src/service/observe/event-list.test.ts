import { expect, it } from 'vitest';
import { silentLogger } from '../../base/index.ts';
import { EventList } from './event-list.ts';
import { EVENTS_KEPT_MAX, type ObservedEvent } from './model.ts';

const make = (n: number, more: Partial<ObservedEvent> = {}): ObservedEvent => ({
  time: n * 1000,
  kind: 'path',
  event: 'down',
  text: String(n),
  fields: {},
  ...more,
});

it('keeps the newest, in order, and counts what it dropped', () => {
  const list = new EventList(silentLogger);
  for (let n = 0; n < EVENTS_KEPT_MAX + 500; n++) list.add(make(n));
  const { dropped, events } = list.recent();
  expect(dropped).toBe(500);
  expect(events.map(({ text }) => Number(text))).toEqual(
    Array.from({ length: EVENTS_KEPT_MAX }, (_, n) => n + 500),
  );
});

it('lets no flood of the kernel’s events push everything else out, and says how many there were', () => {
  const list = new EventList(silentLogger);
  list.add(make(1, { text: 'before' }));
  for (let n = 0; n < 50_000; n++) list.add(make(2, { kind: 'mptcp', text: 'flood' }));
  list.add(make(2, { text: 'among them' }));
  list.settle(3000);
  const texts = list.recent().events.map(({ text }) => text);
  expect(texts.length).toBeLessThan(300);
  expect(texts[0]).toBe('before');
  expect(texts).toContain('among them');
  const listed = texts.filter((text) => text === 'flood').length;
  expect(texts.at(-1)).toBe(
    `${50_000 - listed} events of connections and links came too fast and are not listed`,
  );
});

it('tells each watcher until it leaves, also when another fails', () => {
  const list = new EventList(silentLogger);
  const heard: string[] = [];
  const watcher = ({ text }: ObservedEvent) => void heard.push(text);
  list.watch(() => {
    throw new Error('broken');
  });
  const ends = [list.watch(watcher), list.watch(watcher)];
  list.add(make(1));
  ends[0]!();
  list.add(make(2));
  ends[1]!();
  list.add(make(3));
  expect(heard).toEqual(['1', '1', '2']);
});
