/** What every command of the own part of `weft mptcp` gets and how it says that it cannot be understood. */
import type { Output } from '../compat/output.ts';

/** What a command of the own part gets. */
export interface OwnCommandLine {
  /** What stands after the command's own words. */
  readonly words: readonly string[];
  readonly json: boolean;
  readonly output: Output;
}

/** A line that cannot be understood. */
export const USAGE_ERROR = 2;
