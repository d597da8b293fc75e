/**
 * How commands end: one line on standard error and an exit code for what went wrong; and writing to a reader that may
 * have left (`weft status | head -1`), which is no error.
 */
import { writeSync } from 'node:fs';
import { errorCode, errorText, printable } from '../base/index.ts';

const STDOUT = 1;
const STDERR = 2;

/** @returns `false`: the reader has left */
function writeAll(fd: number, text: string): boolean {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A pipe in non-blocking mode, which somebody else set and which is full.
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      else if (code === 'EPIPE') return false;
      else throw error;
    }
  }
  return true;
}

/** Writes a command's result whole before it returns. */
export function writeOutput(text: string): void {
  writeAll(STDOUT, text);
}

/** The same for commands that go on and on. @returns `false`: the reader has left, so there is nothing more to do */
export function writeMoreOutput(text: string): boolean {
  return writeAll(STDOUT, text);
}

/** Reports a failure: one line for what Weft foresaw, the stack as well with --verbose. */
export function reportFailure(error: unknown, verbose = false): void {
  const text = `weft: ${printable(errorText(error))}\n`;
  const stack = verbose && error instanceof Error && error.stack !== undefined ? `${error.stack}\n` : '';
  try {
    writeAll(STDERR, text + stack);
  } catch {
    // Nobody can be told.
  }
}

/** One line on standard error, beside what a command does. */
export function reportNotice(text: string): void {
  try {
    writeAll(STDERR, `weft: ${printable(text)}\n`);
  } catch {
    // Nobody can be told.
  }
}

/** For `--json`: the failure as data on standard output, so that a program always gets JSON. */
export function failureJson(error: unknown): string {
  return `${JSON.stringify({ error: errorText(error), code: errorCode(error) })}\n`;
}

/** The same, written; what went wrong may be that nothing can be written. */
export function writeFailureJson(error: unknown): void {
  try {
    writeOutput(failureJson(error));
  } catch {
    // Nobody can be told.
  }
}

/** The options that say how a failure is told. */
interface ReportOptions {
  readonly json?: boolean | undefined;
  readonly verbose?: boolean | undefined;
}

/**
 * Does a command's work. What goes wrong is told on standard error (the stack as well with `verbose`), with `json` as
 * data on standard output too, and the exit code is 1.
 */
export async function reportingFailures(
  { json = false, verbose = false }: ReportOptions,
  work: () => void | Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (json) writeFailureJson(error);
    reportFailure(error, verbose);
    process.exitCode = 1;
  }
}

/** The same for what answers with a sentence: that is written, and with `json` the whole answer. */
export function tellAnswer(
  options: ReportOptions,
  ask: () => Promise<{ readonly text: string }>,
): Promise<void> {
  return reportingFailures(options, async () => {
    const answer = await ask();
    writeOutput(options.json === true ? `${JSON.stringify(answer)}\n` : `${printable(answer.text)}\n`);
  });
}
