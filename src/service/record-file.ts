/**
 * A small record of what a process made in the kernel, in the runtime folder, so that the next start finds what a killed
 * one left. What it holds is for its owner to write and to check; this file keeps it.
 *
 * Invariants: replaced as a whole or not at all; believed only in the very network namespace and boot in which it was
 * written, because numbers of namespaces are used again; gone when there is nothing to remember.
 */
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { errorText, WeftError, type Logger } from '../base/index.ts';
import { removeFile } from '../native/index.ts';
import type { NamespaceIdentity } from './namespace-identity.ts';

const FORMAT_VERSION = 1;
/** BOUNDED: far above what the routes of 1024 connections take. */
const FILE_MAX_BYTES = 8 << 20;

interface RecordText {
  readonly version: number;
  readonly cookie: string;
  readonly bootId: string;
  /** Of the process that wrote it; for people. */
  readonly pid: number;
  readonly record: unknown;
}

/** Reads the file's text; `undefined` when it is not such a file. Pure. */
export function parseRecordText(text: string): RecordText | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { bootId, cookie, version } = value as Partial<Record<keyof RecordText, unknown>>;
  const isValid = version === FORMAT_VERSION && typeof cookie === 'string' && typeof bootId === 'string';
  return isValid && 'record' in value ? (value as RecordText) : undefined;
}

/** The text for the file. Pure. */
export function formatRecordText(record: unknown, namespace: NamespaceIdentity, pid: number): string {
  const { bootId, cookie } = namespace;
  const file: RecordText = { version: FORMAT_VERSION, cookie, bootId, pid, record };
  return `${JSON.stringify(file)}\n`;
}

export class RecordFile {
  readonly #path: string;
  readonly #what: string;
  readonly #namespace: NamespaceIdentity;
  readonly #logger: Logger;

  /**
   * The caller holds the lock that makes it the only writer.
   * @param what the record is of, for messages: `endpoints`, `a tunnel`
   */
  constructor(path: string, what: string, namespace: NamespaceIdentity, logger: Logger) {
    this.#path = path;
    this.#what = what;
    this.#namespace = namespace;
    this.#logger = logger;
  }

  /** `undefined`: nothing is to be remembered. Whatever else stands in the record's place is removed, and told of. */
  load(): unknown {
    const stat = lstatSync(this.#path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    // Reading anything else could wait for ever, or fill the memory.
    const isReadable = stat.isFile() && stat.size <= FILE_MAX_BYTES;
    const file = isReadable ? parseRecordText(readFileSync(this.#path, 'utf8')) : undefined;
    if (file === undefined) {
      this.reject();
      return undefined;
    }
    const isSame = file.bootId === this.#namespace.bootId && file.cookie === this.#namespace.cookie;
    return isSame ? file.record : undefined;
  }

  /** What `load` gave is not what its owner has written. */
  reject(): void {
    this.#logger.warn(
      { path: this.#path },
      `"${this.#path}" cannot be read as a record of ${this.#what}; what an earlier Weft left may stay`,
    );
    rmSync(this.#path, { force: true, recursive: true });
  }

  /** @throws WeftError `STATE` */
  save(record: unknown): void {
    const temporary = `${this.#path}.new`;
    try {
      // Left by a process that died while it wrote; the lock says that no other is writing.
      removeFile(temporary);
      writeFileSync(temporary, formatRecordText(record, this.#namespace, process.pid), {
        mode: 0o600,
        flag: 'wx',
      });
      renameSync(temporary, this.#path);
    } catch (error) {
      removeFile(temporary);
      throw new WeftError(`write "${this.#path}": ${errorText(error)}`, {
        code: 'STATE',
        cause: error,
        hint: 'without this record nothing is made in the kernel, because a crash could not be cleaned up after',
      });
    }
  }

  remove(): void {
    removeFile(this.#path);
  }
}
