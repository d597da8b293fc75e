/**
 * The files that a dynamically linked program needs to run somewhere else: itself, its dynamic linker and all
 * libraries, at the places where this machine has them, so that the same linker finds them there.
 *
 * Not a whole dynamic linker: no ld.so.cache and no LD_LIBRARY_PATH, only RUNPATH and the folders that linkers know.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WeftError } from '../../base/index.ts';
import type { CpioEntry } from './cpio.ts';
import { linkedLibraries, type LinkedLibraries } from './elf-file.ts';

const TRIPLET = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const FOLDERS = [`/lib/${TRIPLET}`, `/usr/lib/${TRIPLET}`, '/lib64', '/usr/lib64', '/lib', '/usr/lib'];
/** BOUNDED: far more than any program has. */
const LIBRARIES_MAX = 256;

function linkageOf(path: string, data: Uint8Array): LinkedLibraries {
  const linkage = linkedLibraries(data);
  if (typeof linkage === 'string') {
    throw new WeftError(`"${path}" cannot be put into an image: ${linkage}`, { code: 'BAD_PROGRAM' });
  }
  return linkage;
}

function findLibrary(name: string, user: string, { runpath = '' }: LinkedLibraries): string {
  const own = runpath
    .split(':')
    .filter((folder) => folder !== '')
    .map((folder) => folder.replace(/\$\{?ORIGIN\}?/g, dirname(user)));
  const path = [...own, ...FOLDERS].map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (path !== undefined) return path;
  throw new WeftError(`the library "${name}", which "${user}" needs, was not found`, {
    code: 'NO_LIBRARY',
    hint: `looked in ${[...own, ...FOLDERS].join(', ')}`,
  });
}

/**
 * Libraries, by their places, that these programs and libraries need; without themselves.
 * @throws WeftError NO_LIBRARY, BAD_PROGRAM
 */
export function collectLibraries(
  programs: readonly { readonly path: string; readonly data: Uint8Array }[],
): CpioEntry[] {
  const found = new Map<string, Uint8Array>();
  const queue = [...programs];
  for (let user = queue.pop(); user !== undefined; user = queue.pop()) {
    const linkage = linkageOf(user.path, user.data);
    const { path: userPath } = user;
    const interpreter = linkage.interpreter === undefined ? [] : [linkage.interpreter];
    const needed = linkage.needed.map((name) => findLibrary(name, userPath, linkage));
    for (const path of [...interpreter, ...needed]) {
      if (found.has(path)) continue;
      if (found.size >= LIBRARIES_MAX) {
        throw new WeftError(`"${userPath}" needs more than ${LIBRARIES_MAX} libraries`, {
          code: 'BAD_PROGRAM',
        });
      }
      const data = readFileSync(path);
      found.set(path, data);
      queue.push({ path, data });
    }
  }
  return withoutTwice([...found].map(([path, data]) => ({ kind: 'file', path, data, executable: true })));
}

/** The dynamic linker is often found by two names, /lib64/ld-linux-x86-64.so.2 and the one beside libc. */
function withoutTwice(entries: readonly (CpioEntry & { kind: 'file' })[]): CpioEntry[] {
  return entries.map((entry) => {
    const first = entries.find(
      (other) =>
        other.path < entry.path && Buffer.compare(Buffer.from(other.data), Buffer.from(entry.data)) === 0,
    );
    return first === undefined ? entry : { kind: 'link', path: entry.path, target: first.path };
  });
}
