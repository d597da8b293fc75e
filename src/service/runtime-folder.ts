/**
 * Where a running Weft keeps its control socket and lock: a folder that only its user can enter. One socket per
 * network namespace, because that is what a Weft serves, and because unix sockets by path do not know namespaces.
 *
 * Invariant: nothing is ever made in, or believed from, a folder that another user could have prepared.
 */
import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { WeftError } from '../base/index.ts';

export interface RuntimeUser {
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Folders to try, best first. Root has /run/weft; users have their session's folder. Where neither exists (root
 * inside a user namespace, a cron job) there is one in /tmp that carries the user's number. Pure.
 */
export function runtimeFolderCandidates({ uid, env }: RuntimeUser): string[] {
  const own = env['WEFT_RUNTIME_DIR'];
  if (own !== undefined && own !== '') return [own];
  const session = env['XDG_RUNTIME_DIR'];
  return [
    ...(uid === 0 ? ['/run/weft'] : []),
    ...(session !== undefined && isAbsolute(session) ? [join(session, 'weft')] : []),
    `/tmp/weft-${uid}`,
  ];
}

/** The number of this process's network namespace; 0 where there are none (not Linux). */
export function networkNamespaceInode(): number {
  try {
    return statSync('/proc/self/ns/net').ino;
  } catch {
    return 0;
  }
}

/** @param file of the kind of process: a folder has one socket for each kind and namespace */
export function controlSocketPath(folder: string, netnsInode: number, file: string): string {
  return join(folder, `${file}-${netnsInode}.sock`);
}

export function lockPath(folder: string, netnsInode: number): string {
  return join(folder, `control-${netnsInode}.lock`);
}

export function currentUser(): RuntimeUser {
  return { uid: process.getuid?.() ?? 0, env: process.env };
}

/** Why a folder cannot be trusted with the control socket, or `undefined` when it can. */
function folderProblem(path: string, uid: number): string | undefined {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return 'it is a symbolic link';
  if (!stat.isDirectory()) return 'it is not a folder';
  if (stat.uid !== uid) return `it belongs to user ${stat.uid}`;
  if ((stat.mode & 0o077) !== 0) return `its permissions are ${(stat.mode & 0o777).toString(8)}, not 700`;
  return undefined;
}

/**
 * Makes the folder with mode 0700, or checks the one that is there.
 * @throws WeftError `UNSAFE_FOLDER`; or the error of mkdir(2) (EACCES, EROFS, ENOENT)
 */
function ensurePrivateFolder(path: string, uid: number): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const problem = folderProblem(path, uid);
  if (problem !== undefined) {
    throw new WeftError(`the folder "${path}" is not safe for the control socket: ${problem}`, {
      code: 'UNSAFE_FOLDER',
      hint: 'remove it, or name another folder in the environment variable WEFT_RUNTIME_DIR',
    });
  }
}

/**
 * The first candidate that exists or can be made.
 * @throws WeftError `UNSAFE_FOLDER` when one is there and not to be trusted, `NO_RUNTIME_FOLDER` when none can be made
 */
export function prepareRuntimeFolder(user: RuntimeUser = currentUser()): string {
  const candidates = runtimeFolderCandidates(user);
  const failures: string[] = [];
  for (const folder of candidates) {
    try {
      ensurePrivateFolder(folder, user.uid);
      return folder;
    } catch (error) {
      if (error instanceof WeftError) throw error;
      failures.push((error as Error).message);
    }
  }
  throw new WeftError(`no folder for the control socket can be made: ${failures.join('; ')}`, {
    code: 'NO_RUNTIME_FOLDER',
    hint: `make "${dirname(candidates[0] ?? '/run')}" writable, or name another folder in WEFT_RUNTIME_DIR`,
  });
}
