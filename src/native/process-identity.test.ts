import { describe, expect, it } from 'vitest';
import { isRunning, parseProcessStat, readProcessIdentity, signalProcess } from './process-identity.ts';

/** Of this kernel, shortened behind the start time. */
const stat = (name: string, state = 'S') =>
  `77 (${name}) ${state} 1 77 77 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 123456 1000 100\n`;

describe('parseProcessStat', () => {
  it('reads the start time, whatever the program calls itself', () => {
    for (const name of ['node', 'a b', ') S 1', '((', 'x) R 9 9 9 9 9'])
      expect(parseProcessStat(77, stat(name)), name).toEqual({ pid: 77, startTicks: '123456' });
  });

  it('knows none of a process that has ended, nor of other texts', () => {
    expect(parseProcessStat(77, stat('node', 'Z'))).toBeUndefined();
    for (const text of ['', '77 (node) S 1', 'nonsense', stat('node').slice(0, 60)])
      expect(parseProcessStat(77, text), text).toBeUndefined();
  });
});

describe('this process', () => {
  it('is itself, and not one that began at another time', () => {
    const self = readProcessIdentity(process.pid)!;
    expect(self.pid).toBe(process.pid);
    expect(isRunning(self)).toBe(true);
    const stranger = { pid: process.pid, startTicks: '1' };
    expect(isRunning(stranger)).toBe(false);
    expect(signalProcess(stranger, 'SIGKILL')).toBe(false);
  });
});
