import { expect, it } from 'vitest';
import { ProgramNames, searchPrograms, type ProcReader } from './program-names.ts';

/** Processes with the sockets they hold; some may not be looked at. */
function makeProc(held: ReadonlyMap<number, readonly number[]>, log: string[] = []): ProcReader {
  return {
    processes: () => [...held.keys()],
    descriptors: (pid) => {
      log.push(`list ${pid}`);
      return [...(held.get(pid)?.keys() ?? [])].map(String);
    },
    descriptor: (pid, name) => {
      const inode = held.get(pid)?.[Number(name)] ?? 0;
      return inode === 0 ? '/dev/null' : `socket:[${inode}]`;
    },
    nameOf: (pid) => (pid === 13 ? undefined : `program${pid}`),
  };
}

function search(proc: ProcReader, wanted: number[], holders: number[] = []) {
  const left = new Set(wanted);
  const found = [...searchPrograms(left, holders, proc)].filter((step) => step !== undefined);
  return { found: found.map(({ inode, program }) => [inode, program.pid, program.name]), left: [...left] };
}

const HELD = new Map([
  [10, [0, 501, 502]],
  [11, [0]],
  [13, [503]],
  [20, [504, 504, 0]],
]);

it('finds who holds a socket, and leaves what nobody holds', () => {
  expect(search(makeProc(HELD), [501, 502, 503, 504, 999])).toEqual({
    found: [
      [504, 20, 'program20'],
      [503, 13, 'process 13'],
      [501, 10, 'program10'],
      [502, 10, 'program10'],
    ],
    left: [999],
  });
});

it('begins with those that held sockets before, then the newest, and ends when all is found', () => {
  const log: string[] = [];
  search(makeProc(HELD, log), [501], [10]);
  expect(log).toEqual(['list 10']);
  search(makeProc(HELD, log), [503]);
  expect(log).toEqual(['list 10', 'list 20', 'list 13']);
});

it('searches seldom, gives up what nobody shows, and forgets what is gone', async () => {
  const log: string[] = [];
  const names = new ProgramNames(makeProc(HELD, log));
  const want = (inodes: number[], nowMs: number) => names.want(inodes, nowMs);
  want([501, 999], 0);
  await expect.poll(() => names.of(501), { interval: 2 }).toEqual({ pid: 10, name: 'program10' });
  await expect.poll(() => log.length, { interval: 2 }).toBe(4);
  want([501, 999], 1000);
  expect(log).toHaveLength(4);
  // Twice in vain is enough.
  want([501, 999], 10_000);
  await expect.poll(() => log.length, { interval: 2 }).toBe(8);
  want([501, 999], 20_000);
  want([501, 999], 30_000);
  expect(log).toHaveLength(8);
  want([502], 40_000);
  await expect.poll(() => names.of(502), { interval: 2 }).toBeDefined();
  expect(names.of(501)).toBeUndefined();
  names.stop();
});
