/**
 * Finds a program as execvp(3) does and reads what program-kind.ts wants to know of it: scripts are followed to their
 * interpreter. Not here: what follows from it.
 */
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { isElf } from '../../base/index.ts';
import { goVersion, parseElf, PROGRAM_HEAD_BYTES } from './elf.ts';
import type { ProgramFacts, WrapLibrary } from './program-kind.ts';

/** As the C library has it where there is no PATH. */
const DEFAULT_PATH = '/bin:/usr/bin';
/** BOUNDED: how far scripts are followed whose interpreters are scripts; the kernel's own limit. */
const SCRIPT_DEPTH_MAX = 4;

export type Found =
  | { readonly path: string }
  /** 127 and 126 in shells. */
  | { readonly problem: 'not found' | 'not executable' };

type Outcome = 'program' | 'not executable' | 'not there' | 'closed';

function look(path: string): Outcome {
  try {
    if (!statSync(path).isFile()) return 'not executable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'closed' : 'not there';
  }
  try {
    accessSync(path, constants.X_OK);
    return 'program';
  } catch {
    return 'not executable';
  }
}

/** The file that `name` runs: itself if it has a slash, else the first of that name in PATH. */
export function findProgram(name: string, searchPath: string = DEFAULT_PATH): Found {
  if (name === '') return { problem: 'not found' };
  // An empty entry is the working folder.
  const candidates = name.includes('/')
    ? [name]
    : searchPath.split(':').map((folder) => (folder === '' ? `./${name}` : join(folder, name)));
  let problem: 'not found' | 'not executable' = 'not found';
  for (const path of candidates) {
    const outcome = look(path);
    if (outcome === 'program') return { path };
    // A folder of PATH that is closed to this user is as good as empty.
    const closed = outcome === 'closed' && name.includes('/');
    if (outcome === 'not executable' || closed) problem = 'not executable';
  }
  return { problem };
}

interface Head {
  readonly head: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly data: (offset: number) => Uint8Array;
}

/** Calls `use` with the beginning of a file; `undefined` when it may not be read. */
function withHead<Result>(path: string, use: (head: Head) => Result): Result | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const read = (offset: number): Uint8Array => {
      const buffer = new Uint8Array(PROGRAM_HEAD_BYTES);
      return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, offset));
    };
    const { mode, uid, gid } = fstatSync(fd);
    return use({ head: read(0), mode, uid, gid, data: read });
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** The program and the word behind it in `#!/usr/bin/env node`. */
function interpreterOf(head: Uint8Array): readonly [program: string, argument: string] | undefined {
  if (head[0] !== 0x23 || head[1] !== 0x21) return undefined;
  const line = Buffer.from(head.subarray(2, 258)).toString('latin1').split('\n')[0] ?? '';
  const [program = '', ...words] = line.trim().split(/\s+/);
  // env -S splits the rest of the line itself; its assignments and options are not the program.
  const argument = words.find((word) => !word.startsWith('-') && !word.includes('=')) ?? '';
  return [program, argument];
}

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;

function isPrivileged({ mode, uid, gid }: Head): boolean {
  const setUid = (mode & S_ISUID) !== 0 && uid !== process.geteuid?.();
  const setGid = (mode & S_ISGID) !== 0 && gid !== process.getegid?.();
  return setUid || setGid;
}

const unreadable = (path: string): ProgramFacts => ({
  path,
  runsPath: path,
  elf: undefined,
  privileged: false,
});

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/**
 * Never fails: what cannot be read is unknown.
 * @param searchPath where `#!/usr/bin/env NAME` looks
 */
export function readProgram(path: string, searchPath?: string, depth = 0): ProgramFacts {
  const runsPath = realPath(path);
  const facts = withHead(runsPath, (file): ProgramFacts => {
    const script = interpreterOf(file.head);
    if (script !== undefined && depth < SCRIPT_DEPTH_MAX) {
      const [program, argument] = script;
      const found = basename(program) === 'env' ? findProgram(argument, searchPath) : { path: program };
      if (!('path' in found)) return unreadable(path);
      return { ...readProgram(found.path, searchPath, depth + 1), path };
    }
    const elf = isElf(file.head) ? parseElf(file.head) : undefined;
    if (elf === undefined || typeof elf === 'string') return unreadable(path);
    const version =
      elf.madeByGo && elf.dataOffset !== undefined ? goVersion(file.data(elf.dataOffset)) : undefined;
    return {
      path,
      runsPath,
      elf,
      privileged: isPrivileged(file),
      ...(version === undefined ? {} : { goVersion: version }),
    };
  });
  return facts ?? unreadable(path);
}

/** Reads a library that is to be preloaded; `undefined` when it is none. */
export function readLibrary(path: string): WrapLibrary | undefined {
  const elf = withHead(path, ({ head }) => parseElf(head));
  if (elf === undefined || typeof elf === 'string') return undefined;
  return { path, bits: elf.bits, machine: elf.machine };
}
