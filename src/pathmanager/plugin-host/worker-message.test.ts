import { expect, it } from 'vitest';
import { parseFromPlugin } from './worker-message.ts';
import { LONGEST_TEXT } from './worker-protocol.ts';

it.each([
  { kind: 'log', level: 'info', message: 'x' },
  { kind: 'loaded', name: 'a', description: '', version: '', priority: -3 },
  { kind: 'registered', target: 0, name: 'a', callbacks: ['newConnection'] },
  { kind: 'began' },
  { kind: 'exited', failure: 'no' },
  { kind: 'trouble', trouble: 'late', callback: 'c', message: 'm' },
  { kind: 'call', id: 3, group: 'ids', command: 'id', arguments: ['10.0.0.1'] },
  { kind: 'dropped' },
])('takes $kind', (message) => {
  expect(parseFromPlugin({ ...message, more: 1 })).toEqual(message);
});

it.each([
  null,
  undefined,
  5,
  'log',
  [],
  {},
  { kind: null },
  { kind: 'toString' },
  { kind: 'loaded' },
  { kind: 'loaded', name: 'a', description: '', version: '', priority: Number.NaN },
  { kind: 'log', message: 5 },
  { kind: 'log', level: 'child', message: 'x' },
  { kind: 'registered', target: 0, name: 'a', callbacks: {} },
  { kind: 'registered', target: 0, name: 'a', callbacks: [5] },
  { kind: 'trouble', trouble: 'load', callback: 'c', message: 'm' },
  { kind: 'began', failure: 5 },
  { kind: 'call', id: 'x', group: 'ids', command: 'id', arguments: [] },
  { kind: 'call', id: 1, group: 'ids', command: 'id', arguments: null },
])('gives a reason for %j', (message) => {
  expect(parseFromPlugin(message)).toMatch(/^it sent a (malformed )?message/);
});

it('cuts text', () => {
  const message = { kind: 'log', level: 'info', message: 'x'.repeat(LONGEST_TEXT + 1) };
  expect(parseFromPlugin(message)).toEqual({ ...message, message: 'x'.repeat(LONGEST_TEXT) });
});
