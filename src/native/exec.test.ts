import { expect, it } from 'vitest';
import { inheritedDescriptors, openFilesLimit } from './exec.ts';

const list = (entries: Readonly<Record<number, string>>) =>
  Object.entries(entries).map(([fd, target]) => ({ fd: Number(fd), target }));

it("passes on what was there, and nothing of Node's own", () => {
  const open = list({
    0: '/dev/null',
    1: 'pipe:[1]',
    2: 'pipe:[1]',
    3: 'socket:[77]',
    4: 'pipe:[5]',
    5: 'anon_inode:[eventpoll]',
    6: 'pipe:[2]',
    7: 'pipe:[2]',
    8: '/etc/passwd',
    9: 'anon_inode:[eventfd]',
    10: '/dev/null',
    63: 'pipe:[3]',
  });
  expect(inheritedDescriptors(open)).toEqual([0, 1, 2, 3, 4, 8, 63]);
});

it("passes on both ends of a pipe that make's jobs share, when they were there before Node", () => {
  const open = list({ 0: 'a', 1: 'b', 2: 'c', 3: 'pipe:[9]', 4: 'pipe:[9]', 5: 'anon_inode:[eventpoll]' });
  expect(inheritedDescriptors(open)).toEqual([0, 1, 2, 3, 4]);
});

it('finds the limit of open files', () => {
  const text =
    'Max core file size        0        unlimited  bytes\nMax open files            1024                 524288               files     \n';
  expect(openFilesLimit(text)).toEqual([1024n, 524_288n]);
  expect(openFilesLimit('')).toBeUndefined();
});
