/**
 * Standard output and error of a short command: written with plain system calls, because Node's streams cost more
 * at start than the whole command. Output is gathered and leaves in few writes, always before an error line that
 * comes later, so that both in one file stand in the order in which they happened.
 *
 * BOUNDED: at most `GATHER_BYTES` are held back.
 */
import { writeSync } from 'node:fs';
import { errorText, WeftError } from '../../base/index.ts';

const STDOUT = 1;
const STDERR = 2;
const GATHER_BYTES = 1 << 16;
/** What a shell shows for a program that ended by SIGPIPE, as ip does when its reader has left. */
const BROKEN_PIPE = 128 + 13;

function writeAll(fd: number, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A full pipe that somebody else made non-blocking.
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
      else if (code === 'EPIPE') process.exit(BROKEN_PIPE);
      else {
        const what = fd === STDOUT ? 'standard output' : 'standard error';
        throw new WeftError(`${what} cannot be written: ${errorText(error)}`, { code: code ?? 'WRITE' });
      }
    }
  }
}

export class Output {
  #gathered = '';

  write(text: string): void {
    this.#gathered += text;
    if (this.#gathered.length >= GATHER_BYTES) this.flush();
  }

  error(text: string): void {
    this.flush();
    if (text !== '') writeAll(STDERR, text);
  }

  flush(): void {
    if (this.#gathered === '') return;
    const text = this.#gathered;
    this.#gathered = '';
    writeAll(STDOUT, text);
  }
}
