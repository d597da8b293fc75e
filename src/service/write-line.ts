/**
 * Writes a log line whole, with plain system calls, so that the last lines before an exit are written. A reader that
 * is gone (EPIPE, EIO of a closed terminal) or that stopped reading a non-blocking pipe costs the line, never an
 * error: a log must not end the program, nor hold it up line after line.
 */
import { writeSync } from 'node:fs';

const RETRY_WAIT_MS = 5;
const RETRIES = 20;

/** Descriptors whose last line was given up; the next one is tried once. BOUNDED: by the descriptors in use, two. */
const stalled = new Set<number>();

export function writeLine(fd: number, line: string): void {
  let rest = Buffer.from(line);
  const retries = stalled.has(fd) ? 1 : RETRIES;
  for (let tries = 0; rest.length > 0 && tries < retries;) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      tries++;
      if (tries < retries) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_WAIT_MS);
    }
  }
  if (rest.length > 0) stalled.add(fd);
  else stalled.delete(fd);
}
