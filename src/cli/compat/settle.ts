/** Runs the main part of a short command and sets the exit code. */
import { WeftError } from '../../base/index.ts';
import { Output } from './output.ts';

/** One line for what Weft foresaw; anything else is a defect and keeps its stack. */
export function failureCode(error: unknown, output: Output): number {
  if (!(error instanceof WeftError)) throw error;
  output.error(`weft: ${error.message}\n`);
  return 1;
}

function setCode(code: number): void {
  process.exitCode = code;
}

/** Ends within this turn unless `run` goes on by nature. */
export function settle(run: (output: Output) => number | Promise<number>): void {
  const output = new Output();
  try {
    const code = run(output);
    if (typeof code === 'number') setCode(code);
    else void code.catch((error: unknown) => failureCode(error, output)).then(setCode);
  } catch (error) {
    setCode(failureCode(error, output));
  }
}
