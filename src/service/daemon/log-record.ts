/**
 * A line of the daemon's log on its way to where it goes, and what a destination is (pure). Layers below write through
 * the `Logger` of base; DaemonLog makes records of that; each destination gives them its own form.
 */
import { formatLogMessage } from '../log-text.ts';

/** Numbers of syslog(3), RFC 5424 section 6.2.1. */
export const SEVERITY = { error: 3, warn: 4, info: 6, debug: 7 } as const;
export type LogLevel = keyof typeof SEVERITY;

/** LOG_DAEMON. */
export const FACILITY_DAEMON = 3;

export interface LogRecord {
  readonly level: LogLevel;
  readonly timeMs: number;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Where records go. Writing never throws and never blocks for long: a log must not end or stop the daemon. */
export interface LogSink {
  write(record: LogRecord): void;
  close(): void;
}

/** Message and fields on one line, without control characters. */
export function recordText({ fields, message }: LogRecord, verbose: boolean): string {
  const { err, ...rest } = fields;
  const shown = err instanceof Error ? { ...rest, err: { message: err.message, stack: err.stack } } : fields;
  return formatLogMessage({ ...shown, msg: message }, 'msg', verbose);
}

/** Cuts a text to so many bytes of UTF-8, between characters, and says so. */
export function truncateUtf8(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  const note = ` … (${bytes.length} bytes, cut)`;
  let end = Math.max(0, maxBytes - Buffer.byteLength(note));
  // A continuation byte is no place to cut before.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}${note}`;
}
