/**
 * The log to standard error: the bare text of each message on a line, as mptcpd writes it.
 */
import { writeLine } from '../write-line.ts';
import { recordText, type LogSink } from './log-record.ts';

const STDERR = 2;

export const writeStderr = (text: string): void => writeLine(STDERR, text);

export const openStderr = (verbose: boolean): LogSink => ({
  write: (record) => writeStderr(`${recordText(record, verbose)}\n`),
  close: () => {},
});
