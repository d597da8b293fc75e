/**
 * The log to systemd's journal in its own protocol, over /run/systemd/journal/socket (or one that the caller names).
 * One datagram a message, of fields:
 *
 *   NAME=value\n                              when the value has no line end
 *   NAME\n | length u64 le | value | \n       when it has
 *
 * MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, SYSLOG_FACILITY and ERRNO are the journal's own names; fields of Weft become
 * WEFT_…, in capitals. A value that is too long is cut, and says so, so that every message fits one datagram.
 *
 * References: systemd.journal-fields(7); "Native Journal Protocol" of systemd's documentation.
 */
import { FACILITY_DAEMON, recordText, SEVERITY, truncateUtf8, type LogRecord } from './log-record.ts';
import { DatagramSink } from './log-datagram.ts';

export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

/** BOUNDED: with both, a datagram stays below what a socket's buffer takes by default (208 KiB). */
const VALUE_MAX_BYTES = 4096;
const MESSAGE_MAX_BYTES = 32 << 10;
const FIELDS_MAX = 24;
const NAME_MAX = 64;

export interface JournalSender {
  readonly program: string;
  /** Debug level: with the stacks of errors. */
  readonly verbose: boolean;
}

/** `linkIndex` becomes `WEFT_LINK_INDEX`: capitals, digits and underscores, as the journal asks. Pure. */
export function journalFieldName(name: string): string {
  const words = name.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
  return `WEFT_${words.replaceAll(/[^A-Z0-9_]/g, '_')}`.slice(0, NAME_MAX);
}

function fieldBytes(name: string, text: string, maxBytes: number): Uint8Array {
  const value = truncateUtf8(text, maxBytes);
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const head = Buffer.alloc(name.length + 9);
  head.write(`${name}\n`, 'ascii');
  head.writeBigUInt64LE(BigInt(bytes.length), name.length + 1);
  return Buffer.concat([head, bytes, Buffer.from('\n')]);
}

function* errorFields(error: Error): Generator<readonly [string, string]> {
  yield ['WEFT_ERROR', error.message];
  const { code, errno } = error as { readonly code?: unknown; readonly errno?: unknown };
  if (typeof code === 'string') yield ['WEFT_ERROR_CODE', code];
  // Node's own errors have negative numbers, netlink's and ours positive ones.
  if (typeof errno === 'number') yield ['ERRNO', String(Math.abs(errno))];
  if (error.stack !== undefined) yield ['WEFT_STACK', error.stack];
}

function* ownFields(fields: Readonly<Record<string, unknown>>): Generator<readonly [string, string]> {
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Error) yield* errorFields(value);
    else if (value !== undefined) {
      yield [journalFieldName(name), typeof value === 'string' ? value : (JSON.stringify(value) ?? '')];
    }
  }
}

/** The datagram of a record. Pure. */
export function formatJournal(record: LogRecord, sender: JournalSender): Uint8Array {
  const parts = [
    fieldBytes('MESSAGE', recordText(record, sender.verbose), MESSAGE_MAX_BYTES),
    fieldBytes('PRIORITY', String(SEVERITY[record.level]), VALUE_MAX_BYTES),
    fieldBytes('SYSLOG_FACILITY', String(FACILITY_DAEMON), VALUE_MAX_BYTES),
    fieldBytes('SYSLOG_IDENTIFIER', sender.program, VALUE_MAX_BYTES),
  ];
  let count = 0;
  for (const [name, value] of ownFields(record.fields)) {
    if (count++ === FIELDS_MAX) break;
    parts.push(fieldBytes(name, value, VALUE_MAX_BYTES));
  }
  return Buffer.concat(parts);
}

export const openJournal = (sender: JournalSender, path: string = JOURNAL_SOCKET): DatagramSink =>
  new DatagramSink(path, 'the journal', (record) => formatJournal(record, sender));
