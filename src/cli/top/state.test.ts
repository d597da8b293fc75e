import { describe, expect, it } from 'vitest';
import type { ConnectionPage, ConnectionReading, ObservedEvent } from '../../service/index.ts';
import type { Key } from './keys.ts';
import { EVENTS_KEPT, TopState, type Deed } from './state.ts';

const page = (ids: readonly string[], found = ids.length): ConnectionPage => ({
  time: 0,
  total: found,
  found,
  rows: ids.map((id) => ({ id }) as ConnectionReading),
});

const text = (character: string): Key => ({ name: 'text', text: character });
const type = (state: TopState, words: string): Deed[] =>
  words.split('').map((c) => state.handleKey(text(c), 5));
const event = (n: number): ObservedEvent => ({
  time: n,
  kind: 'path',
  event: 'down',
  text: `${n}`,
  fields: {},
});

const fresh = () => new TopState({ name: 'the running Weft' });

describe('connections', () => {
  it('keeps the chosen one when rows change their places', () => {
    const state = fresh();
    state.handlePage(page(['a', 'b', 'c']), 0);
    state.handleKey({ name: 'down' }, 5);
    expect(state.selectedId).toBe('b');
    state.handlePage(page(['c', 'a', 'b']), 0);
    expect([state.cursor, state.selectedId]).toEqual([2, 'b']);
    // It has ended: the row in its place is chosen.
    state.handlePage(page(['c', 'a']), 0);
    expect(state.selectedId).toBe('a');
    state.handlePage(page([]), 0);
    expect(state.selectedId).toBeUndefined();
  });

  it('scrolls, and asks for the rows that it then needs', () => {
    const state = fresh();
    state.handlePage(page(['0', '1', '2'], 10), 0);
    expect([1, 2, 3].map(() => state.handleKey({ name: 'down' }, 3))).toEqual(['draw', 'draw', 'ask']);
    expect(state.query(3)).toMatchObject({ offset: 1, limit: 3 });
    // An answer to an older question is not taken.
    state.handlePage(page(['x'], 10), 0);
    expect(state.page?.rows).toHaveLength(3);
    state.handlePage(page(['1', '2', '3'], 10), 1);
    expect(state.selectedId).toBe('3');
    expect(state.handleKey({ name: 'end' }, 3)).toBe('ask');
    expect(state.offset).toBe(7);
    expect(state.handleKey({ name: 'home' }, 3)).toBe('ask');
    expect([state.offset, state.cursor]).toEqual([0, 0]);
  });

  it('sorts by each in turn, in the order that is natural for it', () => {
    const state = fresh();
    expect(state.query(1)).toMatchObject({ sort: 'rate', order: 'descending' });
    state.handleKey(text('s'), 5);
    expect(state.query(1)).toMatchObject({ sort: 'bytes', order: 'descending' });
    state.handleKey(text('s'), 5);
    expect(state.query(1)).toMatchObject({ sort: 'rtt', order: 'ascending' });
    state.handleKey(text('r'), 5);
    expect(state.query(1)).toMatchObject({ sort: 'rtt', order: 'descending' });
    for (const _step of [1, 2]) state.handleKey(text('S'), 5);
    expect(state.sort).toBe('rate');
    state.handleKey(text('S'), 5);
    expect(state.sort).toBe('subflows');
  });
});

describe('search', () => {
  it('takes what is typed, keys of commands too, and finds while it is typed', () => {
    const state = fresh();
    state.handleKey(text('/'), 5);
    expect(type(state, 'sq')).toEqual(['ask', 'ask']);
    expect(state.query(5).search).toBe('sq');
    state.handleKey({ name: 'backspace' }, 5);
    expect(state.handleKey({ name: 'enter' }, 5)).toBe('draw');
    expect([state.search, state.draft]).toEqual(['s', undefined]);
    expect(state.handleKey({ name: 'escape' }, 5)).toBe('ask');
    expect(state.query(5).search).toBeUndefined();
  });

  it('is bounded', () => {
    const state = fresh();
    state.handleKey(text('/'), 5);
    type(state, 'x'.repeat(500));
    expect(state.search).toHaveLength(64);
  });
});

describe('views', () => {
  it('follows the chosen one, and goes back', () => {
    const state = fresh();
    expect(state.handleKey({ name: 'enter' }, 5)).toBe('nothing');
    state.handlePage(page(['a']), 0);
    state.handleKey({ name: 'tab' }, 5);
    expect(state.view).toBe('connections');
    expect(state.handleKey({ name: 'enter' }, 5)).toBe('ask');
    expect([state.view, state.followed?.id]).toEqual(['connection', 'a']);
    state.handleKey(text('?'), 5);
    expect(state.view).toBe('help');
    state.handleKey(text('x'), 5);
    expect(state.view).toBe('connections');
    expect(state.followed).toBeUndefined();
  });

  it('keeps what was known of a connection that has ended', () => {
    const state = fresh();
    state.handlePage(page(['a']), 0);
    state.handleKey({ name: 'enter' }, 5);
    state.handleDetail('b', { id: 'b' } as never, 1);
    expect(state.followed).toEqual({ id: 'a' });
    state.handleDetail('a', { id: 'a' } as never, 1);
    state.handleDetail('a', undefined, 2);
    state.handleDetail('a', undefined, 3);
    expect(state.followed).toEqual({ id: 'a', detail: { id: 'a' }, endedAtMs: 2 });
  });

  it('quits and stops also while something is typed', () => {
    const state = fresh();
    expect(state.handleKey(text('q'), 5)).toBe('quit');
    state.handleKey(text('/'), 5);
    expect(state.handleKey({ name: 'interrupt' }, 5)).toBe('quit');
    expect(state.handleKey({ name: 'suspend' }, 5)).toBe('suspend');
  });
});

describe('events', () => {
  it('keeps the newest, and what is looked at stays when new ones come', () => {
    const state = fresh();
    state.handleEvents(Array.from({ length: EVENTS_KEPT + 10 }, (_none, n) => event(n)));
    expect(state.events).toHaveLength(EVENTS_KEPT);
    state.handleKey(text('3'), 10);
    state.handleKey({ name: 'up' }, 10);
    expect(state.eventOffset).toBe(1);
    state.handleEvent(event(999));
    expect(state.eventOffset).toBe(2);
    expect(state.events).toHaveLength(EVENTS_KEPT);
    state.handleKey({ name: 'end' }, 10);
    expect(state.eventOffset).toBe(0);
  });
});
