/**
 * Runs the main part of a short command and ends with its exit code: at once where nothing else can be going on, by
 * letting Node end otherwise.
 */
import { WeftError } from '../../base/index.ts';
import { exitAtOnce } from '../../native/index.ts';
import { Output } from './output.ts';

/** One line for what Weft foresaw; anything else is a defect and keeps its stack. */
export function failureCode(error: unknown, output: Output): number {
  if (!(error instanceof WeftError)) throw error;
  output.error(`weft: ${error.message}\n`);
  return 1;
}

function end(code: number): void {
  process.exitCode = code;
  exitAtOnce(code);
}

/** Runs a command that writes through `Output` only. */
export function settle(run: (output: Output) => number | Promise<number>): void {
  const output = new Output();
  try {
    const code = run(output);
    if (typeof code === 'number') end(code);
    else void code.catch((error: unknown) => failureCode(error, output)).then(end);
  } catch (error) {
    end(failureCode(error, output));
  }
}
