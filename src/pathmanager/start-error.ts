/**
 * Why the daemon cannot start, in the words that administrators know from mptcpd: one or more whole lines, to be
 * written to the log as they are.
 */
import { nearestWord, WeftError } from '../base/index.ts';

export type StartErrorCode = 'NO_MPTCP' | 'MPTCP_DISABLED' | 'PLUGIN_FOLDER' | 'NO_PLUGIN';

export class StartError extends WeftError {
  /** The same text, line by line. */
  readonly lines: readonly string[];

  constructor(code: StartErrorCode, lines: readonly string[], cause?: unknown) {
    super(lines.join('\n'), { code, ...(cause === undefined ? {} : { cause }) });
    this.lines = lines;
  }
}

/** A name of a plugin that nobody has. */
export function unknownPlugin(option: string, name: string, known: readonly string[]): string {
  const near = nearestWord(name, known);
  const advice =
    near === undefined
      ? `there ${known.length === 1 ? 'is' : 'are'} ${known.join(', ')}`
      : `did you mean "${near}"?`;
  return `${option}: there is no plugin "${name}": ${advice}`;
}
