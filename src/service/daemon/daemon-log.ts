/**
 * The daemon's log: what layers below write goes as a record to one destination, which a reload may change. Debug
 * lines are left out before anything is made of them, unless they are wanted; the switch is for every layer.
 */
import { hostname } from 'node:os';
import type { Logger, LogMethod } from '../../base/index.ts';
import { openJournal } from './log-journal.ts';
import type { LogLevel, LogSink } from './log-record.ts';
import { openStderr } from './log-stderr.ts';
import { openSyslog } from './log-syslog.ts';
import type { LogDestination } from './option-values.ts';

const NULL_SINK: LogSink = { write: () => {}, close: () => {} };

export interface DaemonLogOptions {
  readonly destination: LogDestination;
  readonly debug: boolean;
  /** As the log names it. */
  readonly program: string;
}

function openSink({ debug, destination, program }: DaemonLogOptions): LogSink {
  switch (destination) {
    case 'syslog':
      return openSyslog({ hostname: hostname(), program, pid: process.pid, verbose: debug });
    case 'journal':
      return openJournal({ program, verbose: debug });
    case 'null':
      return NULL_SINK;
    default:
      return openStderr(debug);
  }
}

export class DaemonLog implements Logger {
  #options: DaemonLogOptions;
  #sink: LogSink;

  constructor(options: DaemonLogOptions) {
    this.#options = options;
    this.#sink = openSink(options);
  }

  get destination(): LogDestination {
    return this.#options.destination;
  }

  /** Goes on elsewhere. */
  redirect(destination: LogDestination): void {
    if (destination === this.destination) return;
    const options = { ...this.#options, destination };
    const sink = openSink(options);
    this.#sink.close();
    this.#sink = sink;
    this.#options = options;
  }

  #write(level: LogLevel, fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#sink.write({ level, timeMs: Date.now(), message, fields });
  }

  readonly debug: LogMethod = (fields, message) => {
    if (this.#options.debug) this.#write('debug', fields, message);
  };
  readonly info: LogMethod = (fields, message) => this.#write('info', fields, message);
  readonly warn: LogMethod = (fields, message) => this.#write('warn', fields, message);
  readonly error: LogMethod = (fields, message) => this.#write('error', fields, message);

  close(): void {
    this.#sink.close();
    this.#sink = NULL_SINK;
  }
}
