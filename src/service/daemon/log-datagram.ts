/**
 * A log destination behind a unix datagram socket: sends, counts what could not be sent, and tells of it when it can
 * again. Meanwhile nothing is lost without a sign: the first refusal, and every error, go to standard error.
 */
import { errnoText, UnixDatagram } from '../../native/index.ts';
import { recordText, type LogRecord, type LogSink } from './log-record.ts';
import { writeStderr } from './log-stderr.ts';

export class DatagramSink implements LogSink {
  readonly #socket: UnixDatagram;
  readonly #path: string;
  readonly #title: string;
  readonly #format: (record: LogRecord) => Uint8Array;
  #lost = 0;

  /** @param title names the destination in sentences */
  constructor(path: string, title: string, format: (record: LogRecord) => Uint8Array) {
    this.#socket = new UnixDatagram(path);
    this.#path = path;
    this.#title = title;
    this.#format = format;
  }

  write(record: LogRecord): void {
    const errno = this.#tellLoss(record.timeMs) || this.#socket.send(this.#format(record));
    if (errno === 0) return;
    if (this.#lost++ === 0) {
      writeStderr(`${this.#title} (${this.#path}) does not take messages: ${errnoText(errno)}\n`);
    }
    if (record.level === 'error') writeStderr(`${recordText(record, false)}\n`);
  }

  /** @returns 0 when there is nothing to tell any more */
  #tellLoss(timeMs: number): number {
    if (this.#lost === 0) return 0;
    const message = `${this.#lost} messages did not reach ${this.#title}`;
    const record = { level: 'warn', timeMs, message, fields: { lost: this.#lost } } as const;
    const errno = this.#socket.send(this.#format(record));
    if (errno === 0) this.#lost = 0;
    return errno;
  }

  close(): void {
    this.#socket.close();
  }
}
