/**
 * The record of what this Weft made in the kernel's path manager (pathmanager/ownership.ts), as a small file in the
 * runtime folder: one for each network namespace and kind of program, and gone when nothing is owned.
 *
 * Invariants: the file is replaced as a whole or not at all; it is believed only for the very namespace and boot
 * that it was written in, because numbers of namespaces are used again, and endpoints end with their namespace.
 */
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AF_INET, errorText, WeftError, type Logger } from '../base/index.ts';
import {
  closeFd,
  FileLock,
  getSocketOption,
  inNamespace,
  openSocket,
  removeFile,
  SO_NETNS_COOKIE,
  SOCK_DGRAM,
  SOL_SOCKET,
  SystemError,
} from '../native/index.ts';
import { OWNS_NOTHING, type Ownership, type OwnershipJournal } from '../pathmanager/index.ts';
import { takeLock } from './abandoned.ts';

/** What tells one network namespace from every other, at any time. */
export interface NamespaceIdentity {
  /** Of the namespace's file; unique among those that live now. */
  readonly inode: number;
  /** SO_NETNS_COOKIE: never given twice in one boot; 0 before Linux 5.14. */
  readonly cookie: string;
  readonly bootId: string;
}

function readCookie(): string {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    const value = new Uint8Array(8);
    getSocketOption(fd, SOL_SOCKET, SO_NETNS_COOKIE, value);
    return String(new DataView(value.buffer).getBigUint64(0, true));
  } catch (error) {
    if (error instanceof SystemError) return '0';
    throw error;
  } finally {
    closeFd(fd);
  }
}

/** @param netns file of the namespace; default is this thread's own */
export function namespaceIdentity(netns?: string): NamespaceIdentity {
  return {
    inode: statSync(netns ?? '/proc/thread-self/ns/net').ino,
    cookie: netns === undefined ? readCookie() : inNamespace(netns, readCookie),
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  };
}

const FORMAT_VERSION = 1;
/** BOUNDED: far above what a record of 255 endpoints takes. */
const FILE_MAX_BYTES = 1 << 20;

interface StateFile {
  readonly version: number;
  readonly cookie: string;
  readonly bootId: string;
  /** Of the process that wrote it; for people. */
  readonly pid: number;
  readonly owned: Ownership;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;

/** Limits are only ever raised, so what is put back is less than what the kernel has taken already. */
const isLimit = (value: unknown): boolean =>
  value === undefined ||
  (isRecord(value) && isCount(value['former']) && isCount(value['set']) && value['former'] < value['set']);

const isEndpoint = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value['address'] === 'string' &&
  ['id', 'linkIndex', 'flags'].every((name) => isCount(value[name]));

/** Reads the file's text; `undefined` when it is not such a file. Pure. */
export function parseStateFile(text: string): StateFile | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || value['version'] !== FORMAT_VERSION || !isRecord(value['owned'])) return undefined;
  const { endpoints, limits } = value['owned'];
  const valid =
    typeof value['cookie'] === 'string' &&
    typeof value['bootId'] === 'string' &&
    Array.isArray(endpoints) &&
    endpoints.every(isEndpoint) &&
    isRecord(limits) &&
    isLimit(limits['subflows']) &&
    isLimit(limits['addAddrAccepted']);
  return valid ? (value as unknown as StateFile) : undefined;
}

/** The text for the file. Pure. */
export function formatStateFile(owned: Ownership, namespace: NamespaceIdentity, pid: number): string {
  const { bootId, cookie } = namespace;
  const file: StateFile = { version: FORMAT_VERSION, cookie, bootId, pid, owned };
  return `${JSON.stringify(file)}\n`;
}

/** Whose record it is: two kinds of programs may each have one in the same network namespace. */
export interface JournalOwner {
  /** How its files' names begin. */
  readonly file: string;
  /** For the message that another process has it: `WHAT is managed by process 7 already`. */
  readonly what: string;
  /** What the user does then. */
  readonly hint: string;
}

/** `weft up`. */
const PATHS: JournalOwner = {
  file: 'paths',
  what: 'the paths of this network namespace are managed by',
  hint: 'two would undo each other’s work: stop that one first ("weft status" shows it)',
};

/** The record in its file, and the lock that makes this process its only writer. */
export class StateJournal implements OwnershipJournal {
  readonly #path: string;
  readonly #namespace: NamespaceIdentity;
  readonly #logger: Logger;
  readonly #lock: FileLock;
  /** Something that is no record stands in its place, and renaming may not replace it. */
  #damaged = false;

  private constructor(path: string, namespace: NamespaceIdentity, lock: FileLock, logger: Logger) {
    this.#path = path;
    this.#namespace = namespace;
    this.#lock = lock;
    this.#logger = logger;
  }

  /**
   * @param folder only its owner may enter it; made when it is not there
   * @throws WeftError ALREADY_RUNNING when another process of this kind has the record of the same namespace
   */
  static open(
    folder: string,
    namespace: NamespaceIdentity,
    logger: Logger,
    owner: JournalOwner = PATHS,
  ): StateJournal {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const base = join(folder, `${owner.file}-${namespace.inode}`);
    const lock = takeLock(`${base}.lock`);
    if (lock === undefined) {
      const holder = FileLock.holderOf(`${base}.lock`);
      const who = holder === undefined ? 'another process' : `process ${holder}`;
      throw new WeftError(`${owner.what} ${who} already`, { code: 'ALREADY_RUNNING', hint: owner.hint });
    }
    return new StateJournal(`${base}.json`, namespace, lock, logger);
  }

  load(): Ownership {
    const stat = lstatSync(this.#path, { throwIfNoEntry: false });
    if (stat === undefined) return OWNS_NOTHING;
    // Reading anything else could wait for ever, or fill the memory.
    const readable = stat.isFile() && stat.size <= FILE_MAX_BYTES;
    const file = readable ? parseStateFile(readFileSync(this.#path, 'utf8')) : undefined;
    if (file === undefined) {
      this.#damaged = true;
      this.#logger.warn(
        { path: this.#path },
        `"${this.#path}" cannot be read as a record of endpoints; what an earlier Weft left may stay`,
      );
      return OWNS_NOTHING;
    }
    const same = file.bootId === this.#namespace.bootId && file.cookie === this.#namespace.cookie;
    return same ? file.owned : OWNS_NOTHING;
  }

  save(owned: Ownership): void {
    if (owned.endpoints.length === 0 && Object.keys(owned.limits).length === 0) {
      this.#remove();
      return;
    }
    const temporary = `${this.#path}.new`;
    try {
      // Left by a process that died while it wrote; the lock says that no other is writing.
      removeFile(temporary);
      if (this.#damaged) this.#remove();
      writeFileSync(temporary, formatStateFile(owned, this.#namespace, process.pid), {
        mode: 0o600,
        flag: 'wx',
      });
      renameSync(temporary, this.#path);
    } catch (error) {
      removeFile(temporary);
      throw new WeftError(`write "${this.#path}": ${errorText(error)}`, {
        code: 'STATE',
        cause: error,
        hint: 'without this record no endpoint is made and no limit raised, because a crash could not be cleaned up after',
      });
    }
  }

  #remove(): void {
    if (this.#damaged) rmSync(this.#path, { force: true, recursive: true });
    else removeFile(this.#path);
    this.#damaged = false;
  }

  /** Lets another process be the writer. The record stays if something is still owned. */
  close(): void {
    this.#lock.release();
  }
}
