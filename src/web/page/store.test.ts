/** Cells and channels: who is told what, and that one listener's failure is its own. */
import { expect, it, vi } from 'vitest';
import { Cell, Channel } from './store.ts';

it('tells a new listener the present value, then each other one', () => {
  const cell = new Cell(1);
  const seen: number[] = [];
  const unwatch = cell.watch((value) => seen.push(value));
  cell.set(1);
  cell.set(2);
  unwatch();
  cell.set(3);
  expect(seen).toEqual([1, 2]);
  expect(cell.value).toBe(3);
});

it('tells the others when one listener throws, and hands the error on', () => {
  const thrown: (() => void)[] = [];
  const microtask = vi
    .spyOn(globalThis, 'queueMicrotask')
    .mockImplementation((task) => void thrown.push(task));
  const channel = new Channel<string>();
  const seen: string[] = [];
  channel.watch(() => {
    throw new Error('a bad section');
  });
  channel.watch((value) => seen.push(value));
  channel.send('event');
  microtask.mockRestore();
  expect(seen).toEqual(['event']);
  expect(thrown).toHaveLength(1);
  expect(thrown[0]).toThrow('a bad section');
});

it('a listener that stops listening while it is told is not told again', () => {
  const channel = new Channel<number>();
  const seen: number[] = [];
  const unwatch = channel.watch((value) => {
    seen.push(value);
    unwatch();
  });
  channel.send(1);
  channel.send(2);
  expect(seen).toEqual([1]);
});
