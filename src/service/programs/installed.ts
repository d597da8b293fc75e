/**
 * Where the two things that can be preloaded are: Weft's own for Node programs, and libmptcpwrap.so of the system.
 */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readLibrary } from './program-file.ts';
import type { WrapLibrary } from './program-kind.ts';

/** dist/register/register.cjs, from wherever this module runs: the source tree, the library or a bundle. */
export function findRegister(): string | undefined {
  for (
    let folder = dirname(fileURLToPath(import.meta.url));
    folder !== dirname(folder);
    folder = dirname(folder)
  ) {
    for (const candidate of [
      join(folder, 'register', 'register.cjs'),
      join(folder, 'dist', 'register', 'register.cjs'),
    ]) {
      if (existsSync(candidate)) return candidate;
    }
  }
  return undefined;
}

const TRIPLET = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const LIBRARY_FOLDERS = [
  `/usr/local/lib/${TRIPLET}`,
  '/usr/local/lib64',
  '/usr/local/lib',
  `/usr/lib/${TRIPLET}`,
  '/usr/lib64',
  '/usr/lib',
];
/** Distributions disagree about the folder in the folder. */
const OWN_FOLDERS = ['mptcpize', 'mptcp', 'mptcpd', ''];
const LIBRARY_FILE = /^libmptcpwrap\.so[.\d]*$/;

function libraryIn(folder: string): string | undefined {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => LIBRARY_FILE.test(name));
  } catch {
    return undefined;
  }
  // The shortest name is the link that survives an update.
  const [name] = names.sort((a, b) => a.length - b.length);
  return name === undefined ? undefined : join(folder, name);
}

/**
 * libmptcpwrap.so of this machine.
 * @param folders library folders to look in instead of the usual ones
 */
export function findWrapLibrary(folders: readonly string[] = LIBRARY_FOLDERS): WrapLibrary | undefined {
  for (const folder of folders) {
    for (const own of OWN_FOLDERS) {
      const path = libraryIn(join(folder, own));
      const library = path === undefined ? undefined : readLibrary(path);
      if (library !== undefined) return library;
    }
  }
  return undefined;
}
