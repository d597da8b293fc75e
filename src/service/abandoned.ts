/**
 * What killed processes left in the runtime folder: locks that nobody holds, and the sockets and records beside them.
 * The next Weft of the same network namespace takes over its own; those of other namespaces are cleared away here,
 * because their namespaces are usually gone.
 *
 * Invariant: the record of a namespace that may still live stays, because only it tells that namespace's next Weft
 * which endpoints to remove. A socket without a holder of its lock tells nobody anything, and goes in any case.
 */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FileLock } from '../native/index.ts';

const errorCode = (error: unknown) => (error as NodeJS.ErrnoException).code;

/**
 * Numbers of the network namespaces that are mounted somewhere, from /proc/self/mountinfo: the fourth field of an
 * nsfs mount is `net:[NUMBER]`. Pure.
 */
export function mountedNamespaces(mountinfo: string): number[] {
  return [...mountinfo.matchAll(/^\S+ \S+ \S+ net:\[(\d+)\] /gm)].map((match) => Number(match[1]));
}

/** Network namespaces of all processes and mounts; `undefined` when this user may not see them all. */
export function livingNamespaces(): ReadonlySet<number> | undefined {
  try {
    const living = new Set(mountedNamespaces(readFileSync('/proc/self/mountinfo', 'utf8')));
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        living.add(statSync(`/proc/${name}/ns/net`).ino);
      } catch (error) {
        // It has ended meanwhile, or is about to.
        if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ESRCH') throw error;
      }
    }
    return living;
  } catch {
    return undefined;
  }
}

/** BOUNDED: 50 ms in all, where `removeAbandoned` of another process takes microseconds. */
const LOCK_TRIES = 6;
const LOCK_WAIT_MS = 10;

/** Takes a lock of the runtime folder. Who only clears away holds one for an instant, and is not told as the holder. */
export function takeLock(path: string): FileLock | undefined {
  for (let tries = 1; ; tries++) {
    const lock = FileLock.tryTake(path);
    if (lock !== undefined || tries === LOCK_TRIES) return lock;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_WAIT_MS);
  }
}

/** A namespace may have several tunnels: a killed one's socket is nobody's, if its name is not used again. */
const TUNNEL_PREFIX = 'tunnel.';
const LEFT_OVER =
  /^(control|paths|appliance|mptcpd|up|tunnel\.[^/]+|folder\.\d+)-(\d+)\.(?:lock|sock|json|json\.new|log|log\.1)$/;
/** What `weft up` keeps beside its lock, which has the name of its control socket. */
const UP_ENDINGS = ['json', 'json.new', 'log', 'log.1'];

/** The record and the log of a killed `weft up`: nobody asks for them any more when its namespace is gone. */
function removeUpFiles(folder: string, inode: number, living: ReadonlySet<number> | undefined): void {
  if (living === undefined || living.has(inode)) return;
  for (const ending of UP_ENDINGS) rmSync(join(folder, `up-${inode}.${ending}`), { force: true });
}

/**
 * Removes what killed processes of other network namespaces left in the runtime folder, and killed tunnels of this one.
 * @throws the errors of readdir(2), open(2) and unlink(2)
 */
export function removeAbandoned(folder: string, ownNetnsInode: number): void {
  const found = new Map<string, { readonly kind: string; readonly inode: number }>();
  for (const name of readdirSync(folder)) {
    const [, kind = '', number = ''] = LEFT_OVER.exec(name) ?? [];
    const inode = Number(number);
    if (kind !== '' && (inode !== ownNetnsInode || kind.startsWith(TUNNEL_PREFIX)))
      found.set(`${kind}-${number}`, { kind, inode });
  }
  if (found.size === 0) return;
  const living = livingNamespaces();
  for (const [stem, { inode, kind }] of found) {
    if (kind === 'up') {
      removeUpFiles(folder, inode, living);
      continue;
    }
    const base = join(folder, stem);
    const lock = FileLock.tryTake(`${base}.lock`);
    if (lock === undefined) continue;
    const gone = living !== undefined && !living.has(inode);
    const records = kind !== 'control' && gone ? ['json', 'json.new'] : [];
    const endings = kind === 'paths' || kind === 'appliance' ? records : ['sock', ...records];
    for (const ending of endings) rmSync(`${base}.${ending}`, { force: true });
    lock.release();
  }
}
