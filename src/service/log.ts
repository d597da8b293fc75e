/**
 * The log of a running Weft: pino in this process, without a worker thread, so that the last lines before an exit
 * are written. Two forms: short lines for people on standard error, and pino's JSON lines (`--json`) on standard
 * output, where the next program of a pipeline reads. A reader that has gone away never harms Weft.
 *
 * Layers below take the `Logger` of base; only this file knows pino.
 */
import { writeSync } from 'node:fs';
import type { Logger } from '../base/index.ts';
import { formatLogMessage } from './log-text.ts';

export interface LogOptions {
  /** JSON lines on standard output instead of text on standard error. */
  readonly json?: boolean;
  /** Debug lines, and stacks of errors. */
  readonly verbose?: boolean;
  /** Colours in the text; see `wantsColor`. */
  readonly color?: boolean;
}

/** Colours only on a terminal that has them, and never against the wish of the user (no-color.org). */
export function wantsColor(isTty: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  return isTty && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

const RETRY_WAIT_MS = 5;
const RETRIES = 20;

/**
 * Writes a line whole. A reader that is gone (EPIPE, EIO of a closed terminal) or that stopped reading a
 * non-blocking pipe costs the line, never an error: a log must not end the program.
 */
function writeLine(fd: number, line: string): void {
  let rest = Buffer.from(line);
  for (let tries = 0; rest.length > 0 && tries < RETRIES;) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      tries++;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_WAIT_MS);
    }
  }
}

const STDOUT = 1;
const STDERR = 2;

/** Loads pino when it is wanted, because `weft status` and `weft doctor` never do. */
export async function openLog(options: LogOptions): Promise<Logger> {
  const { pino } = await import('pino');
  const level = options.verbose === true ? 'debug' : 'info';
  if (options.json === true) {
    const json: Logger = pino(
      {
        level,
        base: { pid: process.pid },
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      { write: (line) => writeLine(STDOUT, line) },
    );
    return json;
  }
  const { prettyFactory } = await import('pino-pretty');
  const toText = prettyFactory({
    colorize: options.color === true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
    hideObject: true,
    messageFormat: (fields, messageKey) => formatLogMessage(fields, messageKey, options.verbose === true),
    customPrettifiers: {
      // `12:03:04 INFO: text` rather than `[12:03:04] INFO: text`.
      time: (time) => time as string,
      level: (_level, _key, _log, { labelColorized }) => labelColorized,
    },
  });
  const text: Logger = pino({ level }, { write: (line) => writeLine(STDERR, toText(line)) });
  return text;
}
