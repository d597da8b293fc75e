/**
 * A lock that the kernel takes away with the process that holds it (flock(2)), so that what a killed program left
 * behind is never mistaken for a running one.
 *
 * Invariant: the holder's lock is on the file that the path names. Release removes the file, and whoever opened the
 * old one meanwhile notices and begins again.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { LOCK_EX, LOCK_NB } from './constants.ts';
import { EAGAIN, EINTR, SystemError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';
import { removeFile } from './remove-file.ts';

/** BOUNDED: each try is lost only to another process that took or released the lock at that moment. */
const MAX_TRIES = 100;

/** <sys/fcntl.h> of macOS: open(2) takes the lock of flock(2) itself. There Node alone is enough, and no koffi. */
const O_EXLOCK_MACOS = 0x20;

/** Opens the file, on macOS locked. `undefined`: another process has the lock. */
function openLockFile(path: string): number | undefined {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  if (process.platform !== 'darwin') return openSync(path, flags, 0o600);
  try {
    return openSync(path, flags | constants.O_NONBLOCK | O_EXLOCK_MACOS, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}

function lockDescriptor(fd: number, path: string): boolean {
  if (process.platform === 'darwin') return true;
  for (;;) {
    if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
    const errno = lastErrno();
    if (errno === EAGAIN) return false;
    if (errno !== EINTR) throw new SystemError(`lock "${path}"`, errno);
  }
}

/** The process's number, for people: a lock whose file could not be written, on a full disk, is a lock all the same. */
function writeHolder(fd: number): void {
  try {
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`, 0);
  } catch {
    // `holderOf` finds no number then, or half of none.
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

export class FileLock {
  readonly #path: string;
  #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /**
   * Takes the lock and writes this process's number into the file, or returns `undefined` when another process has it.
   * @throws the errors of open(2) and write(2), without keeping the lock; SystemError when the file system has no locks
   */
  static tryTake(path: string): FileLock | undefined {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const fd = openLockFile(path);
      if (fd === undefined) return undefined;
      let locked = false;
      try {
        locked = lockDescriptor(fd, path);
        if (!locked) return undefined;
        if (inodeOf(path) === fstatSync(fd).ino) {
          writeHolder(fd);
          return new FileLock(path, fd);
        }
        locked = false;
      } finally {
        if (!locked) closeSync(fd);
      }
    }
    return undefined;
  }

  /** The process that wrote itself into a lock's file; `undefined` when there is none to read. */
  static holderOf(path: string): number | undefined {
    try {
      const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
      return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  /** Removes the file and lets the lock go. Harmless when done before. */
  release(): void {
    if (this.#fd < 0) return;
    if (inodeOf(this.#path) === fstatSync(this.#fd).ino) removeFile(this.#path);
    closeSync(this.#fd);
    this.#fd = -1;
  }
}
