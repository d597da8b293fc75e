/**
 * Becomes another program: execve(2), which Node does not have. The program gets the process as the one that started
 * Node would have given it: its number, working folder, descriptors, signals and limit of open files, all of which
 * Node changes for itself at its start.
 *
 * Not to be had back: signals that were ignored (nohup), because Node resets them before any of our code runs.
 *
 * Invariant: it returns only by throwing, and then the process can go on.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { SystemError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const RLIMIT_NOFILE = 7;
const SIG_DFL = 0;
const SIG_IGN = 1;

interface Descriptor {
  readonly fd: number;
  /** What /proc names it: a path, `pipe:[4711]`, `anon_inode:[eventpoll]`. */
  readonly target: string;
}

const isNodesOwn = (target: string) => target.startsWith('anon_inode:');

/**
 * Which descriptors were there before Node made its own (pure). Node marks all it finds as close-on-exec, so that
 * mark tells nothing. Its own are its epoll and event descriptors, pipes of which it has both ends, and /dev/null;
 * the first of its epoll descriptors tells where they begin to be possible.
 */
export function inheritedDescriptors(open: readonly Descriptor[]): number[] {
  const first = Math.min(...open.filter(({ target }) => isNodesOwn(target)).map(({ fd }) => fd));
  const ends = new Map<string, number>();
  for (const { target } of open) ends.set(target, (ends.get(target) ?? 0) + 1);
  return open
    .filter(({ fd, target }) => {
      if (fd < first) return true;
      const bothEnds = target.startsWith('pipe:') && (ends.get(target) ?? 0) > 1;
      return fd <= 2 || !(isNodesOwn(target) || bothEnds || target === '/dev/null');
    })
    .map(({ fd }) => fd);
}

function openDescriptors(): Descriptor[] {
  const found: Descriptor[] = [];
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      found.push({ fd: Number(name), target: readlinkSync(`/proc/self/fd/${name}`) });
    } catch {
      // The one that the listing itself was read with.
    }
  }
  return found;
}

/** Soft and hard limit of open files in the text of /proc/PID/limits (pure). */
export function openFilesLimit(limits: string): readonly [soft: bigint, hard: bigint] | undefined {
  const match = /^Max open files\s+(\d+)\s+(\d+)/m.exec(limits);
  return match === null ? undefined : [BigInt(match[1] ?? 0), BigInt(match[2] ?? 0)];
}

/** Node raises the soft limit to the hard one; a parent with the same hard limit tells what it was. */
function restoreOpenFilesLimit(): void {
  try {
    const own = openFilesLimit(readFileSync('/proc/self/limits', 'utf8'));
    const parent = openFilesLimit(readFileSync(`/proc/${process.ppid}/limits`, 'utf8'));
    if (own === undefined || parent === undefined || parent[1] !== own[1] || parent[0] >= own[0]) return;
    libc.setrlimit(RLIMIT_NOFILE, new Uint8Array(new BigUint64Array(parent).buffer));
  } catch {
    // Only what was meant kindly is missing.
  }
}

/**
 * @param argv with the program's own name as the first
 * @throws SystemError what execve(2) refused with: ENOENT, EACCES, ENOEXEC, E2BIG …
 */
export function replaceProcess(
  path: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): never {
  for (const fd of inheritedDescriptors(openDescriptors())) {
    const flags = libc.fcntl(fd, F_GETFD, 0);
    if (flags >= 0) libc.fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
  }
  const { SIGPIPE, SIGXFSZ } = constants.signals;
  const handleIgnored = (how: number) => [SIGPIPE, SIGXFSZ].forEach((signal) => libc.signal(signal, how));
  handleIgnored(SIG_DFL);
  restoreOpenFilesLimit();
  const entries = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  libc.execve(path, [...argv, null], [...entries, null]);
  const errno = lastErrno();
  handleIgnored(SIG_IGN);
  throw new SystemError(`run "${path}"`, errno);
}
