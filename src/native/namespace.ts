/**
 * Network namespaces: named ones are files under /run/netns, as iproute2 keeps them (ip-netns(8)).
 *
 * setns(2) moves the calling thread only, so sockets of another namespace are opened by going there and back
 * within one synchronous call: a socket stays in the namespace in which it was opened.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '../base/errors.ts';
import { CLONE_NEWNET, MNT_DETACH, MS_BIND, O_CLOEXEC, O_RDONLY } from './constants.ts';
import { check } from './errno.ts';
import { libc } from './libc.ts';

export const NETNS_FOLDER = '/run/netns';
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

function openNamespace(path: string): number {
  return check(libc.open(path, O_RDONLY | O_CLOEXEC, 0), `open network namespace "${path}"`);
}

const isName = (name: string) => /^[A-Za-z0-9_.-]{1,64}$/.test(name) && !name.startsWith('.');

/** The file of a named namespace. */
export function namespacePath(name: string): string {
  return join(NETNS_FOLDER, name);
}

/** Runs `work` with this thread in the network namespace of the file `path`. `work` must be synchronous. */
export function inNamespace<T>(path: string, work: () => T): T {
  const home = openNamespace(OWN_NAMESPACE);
  try {
    const target = openNamespace(path);
    try {
      check(libc.setns(target, CLONE_NEWNET), `enter network namespace "${path}"`);
    } finally {
      libc.close(target);
    }
    try {
      return work();
    } finally {
      check(libc.setns(home, CLONE_NEWNET), 'return to the own network namespace');
    }
  } finally {
    libc.close(home);
  }
}

/** Moves this thread for good, as `ip -n NAME` does before its work. */
export function enterNamespace(path: string): void {
  const target = openNamespace(path);
  try {
    check(libc.setns(target, CLONE_NEWNET), `enter network namespace "${path}"`);
  } finally {
    libc.close(target);
  }
}

/**
 * Makes a new named namespace. When that fails, nothing of it is left.
 * @throws WeftError BAD_NAME; SystemError EPERM without CAP_SYS_ADMIN; the errors of open(2): EEXIST when the name is
 *   taken, EACCES, EROFS
 */
export function addNamespace(name: string): void {
  if (!isName(name)) {
    throw new WeftError(`"${name}" is not a name for a network namespace`, { code: 'BAD_NAME' });
  }
  mkdirSync(NETNS_FOLDER, { recursive: true, mode: 0o755 });
  const path = namespacePath(name);
  const home = openNamespace(OWN_NAMESPACE);
  let made = false;
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0o444 });
    made = true;
    check(libc.unshare(CLONE_NEWNET), 'make a network namespace');
    try {
      check(libc.mount(OWN_NAMESPACE, path, null, MS_BIND, null), `name the network namespace "${name}"`);
    } finally {
      check(libc.setns(home, CLONE_NEWNET), 'return to the own network namespace');
    }
  } catch (error) {
    if (made) deleteNamespace(name);
    throw error;
  } finally {
    libc.close(home);
  }
}

/** Removes the name; the namespace ends with its last process and socket. Harmless when there is none. */
export function deleteNamespace(name: string): void {
  const path = namespacePath(name);
  if (!isName(name) || !existsSync(path)) return;
  libc.umount2(path, MNT_DETACH);
  rmSync(path, { force: true });
}

export function listNamespaces(): string[] {
  return existsSync(NETNS_FOLDER) ? readdirSync(NETNS_FOLDER).sort() : [];
}
