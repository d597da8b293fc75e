/**
 * The lines of a batch file or of standard input, as they come: a command that is given through a pipe is carried
 * out before the next one is there.
 */
import { closeSync, openSync, readSync } from 'node:fs';

const STDIN = 0;
const READ_BYTES = 1 << 16;
const NEWLINE = 10;

/** The descriptor of a file, of standard input for `-`, or why it cannot be had. */
export function openLines(path: string): number | { readonly errno: number } {
  if (path === '-') return STDIN;
  try {
    return openSync(path, 'r');
  } catch (error) {
    return { errno: Math.abs((error as NodeJS.ErrnoException).errno ?? 0) };
  }
}

/** Reads what there is; 0 at the end. A terminal or pipe in non-blocking mode is waited for. */
function readSome(fd: number, buffer: Uint8Array): number {
  for (;;) {
    try {
      return readSync(fd, buffer);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
      // A folder can be opened and not read; ip takes it for an empty file.
      else if (code === 'EOF' || code === 'EISDIR') return 0;
      else throw error;
    }
  }
}

/**
 * Lines with their ends; the last may have none. Closes what `openLines` opened.
 * @param beforeRead called before each read, which may wait for the giver
 */
export function* readLines(fd: number, beforeRead: () => void): Generator<string> {
  const buffer = Buffer.alloc(READ_BYTES);
  // UNBOUNDED: one line, because ip takes lines of any length. Kept as bytes, so that characters stay whole.
  let begun: Uint8Array = new Uint8Array(0);
  try {
    for (;;) {
      beforeRead();
      const count = readSome(fd, buffer);
      if (count === 0) break;
      const chunk = Buffer.concat([begun, buffer.subarray(0, count)]);
      const end = chunk.lastIndexOf(NEWLINE) + 1;
      begun = chunk.subarray(end);
      const text = chunk.toString('utf8', 0, end);
      for (let at = 0; at < text.length;) {
        const next = text.indexOf('\n', at) + 1;
        yield text.slice(at, next);
        at = next;
      }
    }
    if (begun.length > 0) yield Buffer.from(begun).toString();
  } finally {
    if (fd !== STDIN) closeSync(fd);
  }
}
