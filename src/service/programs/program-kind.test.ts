import { expect, it } from 'vitest';
import type { Elf } from './elf.ts';
import { judgeProgram, type ProgramFacts } from './program-kind.ts';

const DYNAMIC: Elf = {
  bits: 64,
  machine: 62,
  madeByGo: false,
  interpreter: '/lib64/ld-linux-x86-64.so.2',
};
const STATIC: Elf = { bits: 64, machine: 62, madeByGo: false };
const GO: Elf = { ...STATIC, madeByGo: true };
const LIBRARY = { path: '/usr/lib/libmptcpwrap.so.0', bits: 64, machine: 62 } as const;

const program = (elf: Elf | undefined, more: Partial<ProgramFacts> = {}): ProgramFacts => ({
  path: '/usr/bin/x',
  runsPath: '/usr/bin/x',
  elf,
  privileged: false,
  ...more,
});

it.each([
  ['dynamic', program(DYNAMIC), 'library'],
  ['node', program(DYNAMIC, { runsPath: '/opt/node-22/bin/node' }), 'register'],
  ['nodejs of Debian', program(DYNAMIC, { runsPath: '/usr/bin/nodejs' }), 'register'],
  ['Go', program(GO), 'go'],
  ['Go that uses the C library', program({ ...DYNAMIC, madeByGo: true }), 'go'],
  ['Go 1.21', program(GO, { goVersion: [1, 21] }), 'go'],
  ['Go 2', program(GO, { goVersion: [2, 0] }), 'go'],
])('%s', (_name, facts, mechanism) => {
  expect(judgeProgram(facts, LIBRARY)).toEqual({ mechanism });
});

it.each([
  ['static', program(STATIC), LIBRARY, /statically/],
  ['setuid', program(DYNAMIC, { privileged: true }), LIBRARY, /rights of another user/],
  ['Go 1.20', program(GO, { goVersion: [1, 20] }), LIBRARY, /Go 1\.20.*1\.21 does/],
  ['no ELF', program(undefined), LIBRARY, /no program of a kind/],
  ['musl', program({ ...DYNAMIC, interpreter: '/lib/ld-musl-x86_64.so.1' }), LIBRARY, /another C library/],
  ['of 32 bits', program({ ...DYNAMIC, bits: 32, machine: 3 }), LIBRARY, /another architecture/],
  ['without the library', program(DYNAMIC), undefined, /not installed/],
  ['a node-like name', program(DYNAMIC, { runsPath: '/usr/bin/node-gyp' }), undefined, /not installed/],
])('nothing reaches %s', (_name, facts, library, reason) => {
  const verdict = judgeProgram(facts, library);
  expect(verdict).toMatchObject({ mechanism: undefined, reason: expect.stringMatching(reason) as string });
});

it('Go and Node need no library', () => {
  expect(judgeProgram(program(GO), undefined)).toEqual({ mechanism: 'go' });
  expect(judgeProgram(program(DYNAMIC, { runsPath: '/usr/bin/node' }), undefined)).toEqual({
    mechanism: 'register',
  });
});
