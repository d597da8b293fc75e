/**
 * The log to the system's logger, in the form of RFC 5424, over the datagram socket /dev/log (or one that the caller
 * names). One datagram a message.
 *
 *   <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG
 *   <30>1 2026-05-04T12:00:00.000Z host mptcpd 4711 - - text
 *
 * PRI is facility × 8 + severity; there is no message id and no structured data, so both are "-". The text has no byte
 * order mark, which makes it MSG-ANY in the RFC's words, as with logger(1).
 */
import { FACILITY_DAEMON, recordText, SEVERITY, truncateUtf8, type LogRecord } from './log-record.ts';
import { DatagramSink } from './log-datagram.ts';

export const SYSLOG_SOCKET = '/dev/log';

/** What receivers take at least is 480 bytes (RFC 5424 section 6.1); what rsyslog and syslog-ng take is 8 KiB. */
const MESSAGE_MAX_BYTES = 8192;

export interface SyslogSender {
  readonly hostname: string;
  readonly program: string;
  readonly pid: number;
  /** Debug level: with the stacks of errors. */
  readonly verbose: boolean;
}

/** PRINTUSASCII without space, at most 255 (HOSTNAME) or 48 (APP-NAME); nothing becomes the nil value. */
const token = (text: string, max: number): string =>
  text.replaceAll(/[^\x21-\x7e]/g, '').slice(0, max) || '-';

/** The datagram of a record. Pure. */
export function formatSyslog(record: LogRecord, sender: SyslogSender): Uint8Array {
  const priority = FACILITY_DAEMON * 8 + SEVERITY[record.level];
  const time = new Date(record.timeMs).toISOString();
  const head = `<${priority}>1 ${time} ${token(sender.hostname, 255)} ${token(sender.program, 48)} ${sender.pid} - - `;
  // The text is one line: control characters, line ends of a stack among them, are written out.
  const text = recordText(record, sender.verbose).replaceAll('\n', ' | ');
  return Buffer.from(head + truncateUtf8(text, MESSAGE_MAX_BYTES - head.length));
}

export const openSyslog = (sender: SyslogSender, path: string = SYSLOG_SOCKET): DatagramSink =>
  new DatagramSink(path, 'the system log', (record) => formatSyslog(record, sender));
