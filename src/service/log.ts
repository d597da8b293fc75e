/**
 * The log of a running Weft: pino in this process, without a worker thread, so that the last lines before an exit
 * are written. Two forms: short lines for people on standard error, and pino's JSON lines (`--json`) on standard
 * output, where the next program of a pipeline reads. A reader that has gone away never harms Weft.
 *
 * Layers below take the `Logger` of base; only this file knows pino.
 */
import type { Logger } from '../base/index.ts';
import { formatLogMessage } from './log-text.ts';
import { LogFile } from './log-file.ts';
import { writeLine } from './write-line.ts';

export interface LogOptions {
  /** JSON lines on standard output instead of text on standard error. */
  readonly json?: boolean;
  /** Debug lines, and stacks of errors. */
  readonly verbose?: boolean;
  /** Colours in the text; see `wantsColor`. */
  readonly color?: boolean;
  /** This file, bounded, instead of a descriptor; for a Weft in the background. Lines have the date too. */
  readonly file?: string;
}

/** Colours only on a terminal that has them, and never against the wish of the user (no-color.org). */
export function wantsColor(isTty: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  return isTty && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

const STDOUT = 1;
const STDERR = 2;

function sink({ file, json }: LogOptions): (line: string) => void {
  if (file !== undefined) {
    const log = new LogFile(file);
    return (line) => log.write(line);
  }
  const fd = json === true ? STDOUT : STDERR;
  return (line) => writeLine(fd, line);
}

/** Loads pino when it is wanted, because `weft status` and `weft doctor` never do. */
export async function openLog(options: LogOptions): Promise<Logger> {
  const { pino } = await import('pino');
  const level = options.verbose === true ? 'debug' : 'info';
  const write = sink(options);
  if (options.json === true) {
    const json: Logger = pino(
      {
        level,
        base: { pid: process.pid },
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      { write },
    );
    return json;
  }
  const { prettyFactory } = await import('pino-pretty');
  const toText = prettyFactory({
    colorize: options.color === true,
    translateTime: options.file === undefined ? 'SYS:HH:MM:ss' : 'SYS:yyyy-mm-dd HH:MM:ss',
    ignore: 'pid,hostname',
    hideObject: true,
    messageFormat: (fields, messageKey) => formatLogMessage(fields, messageKey, options.verbose === true),
    customPrettifiers: {
      // `12:03:04 INFO: text` rather than `[12:03:04] INFO: text`.
      time: (time) => time as string,
      level: (_level, _key, _log, { labelColorized }) => labelColorized,
    },
  });
  const text: Logger = pino({ level }, { write: (line) => write(toText(line)) });
  return text;
}
