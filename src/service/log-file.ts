/**
 * The log of a Weft in the background: a file that never grows beyond a bound. When it is full, what it has becomes
 * FILE.1 in place of the one before, and the file begins anew.
 *
 * Invariant: the file itself stays the same one, opened for appending, so that what else is written to it (Node's last
 * words, on standard error) is never lost in a file that has been put aside.
 */
import { closeSync, constants, copyFileSync, fstatSync, ftruncateSync, openSync, renameSync } from 'node:fs';
import { writeLine } from './write-line.ts';

/** BOUNDED: twice this, with what was put aside. */
export const LOG_MAX_BYTES = 1 << 20;

/**
 * Opens a log for appending; made when it is not there, readable by its owner only.
 * @throws the errors of open(2)
 */
export function openLogFile(path: string): number {
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
  return openSync(path, flags, 0o600);
}

export class LogFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #maxBytes: number;
  #bytes: number;

  /** @throws the errors of open(2) */
  constructor(path: string, maxBytes = LOG_MAX_BYTES) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#fd = openLogFile(path);
    this.#bytes = fstatSync(this.#fd).size;
  }

  write(line: string): void {
    this.#bytes += Buffer.byteLength(line);
    if (this.#bytes > this.#maxBytes) {
      this.#begin();
      this.#bytes += Buffer.byteLength(line);
    }
    writeLine(this.#fd, line);
  }

  /** Puts aside what there is. */
  #begin(): void {
    try {
      copyFileSync(this.#path, `${this.#path}.new`);
      renameSync(`${this.#path}.new`, `${this.#path}.1`);
    } catch {
      // A full disk: the newer lines are worth more than the older ones.
    }
    ftruncateSync(this.#fd);
    this.#bytes = 0;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
