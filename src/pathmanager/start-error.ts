/**
 * Why the daemon cannot start, in the words that administrators know from mptcpd: one or more whole lines, to be
 * written to the log as they are.
 */
import { WeftError } from '../base/index.ts';

export type StartErrorCode = 'NO_MPTCP' | 'MPTCP_DISABLED' | 'PLUGIN_FOLDER' | 'NO_PLUGIN';

export class StartError extends WeftError {
  /** The same text, line by line. */
  readonly lines: readonly string[];

  constructor(code: StartErrorCode, lines: readonly string[], cause?: unknown) {
    super(lines.join('\n'), { code, ...(cause === undefined ? {} : { cause }) });
    this.lines = lines;
  }
}
