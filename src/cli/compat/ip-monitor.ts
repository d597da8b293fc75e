/**
 * `ip mptcp monitor`: prints events until SIGINT or SIGTERM, which end it with status 0. What has been printed is
 * written as soon as no further event is waiting. Lost events are said on standard error, and it goes on.
 */
import { errnoText, ENOBUFS, SystemError } from '../../native/index.ts';
import { watchMptcpEvents, type MptcpEvent } from '../../mptcp/index.ts';
import { eventJsonFields, formatEventLine, type ClockUs } from './event-format.ts';
import type { TimestampChoice } from './ip-options.ts';
import { outcomeOfError, shownLinkName } from './ip-session.ts';
import { JsonArrayText } from './json-text.ts';
import { ARGUMENT_ERROR, type CommandFailure, type Exit } from './outcome.ts';
import type { Output } from './output.ts';
import type { OutputStyle } from './output-style.ts';

const nowUs = (): ClockUs => Math.floor((performance.timeOrigin + performance.now()) * 1000);

/** Turns events into output; made anew for each way of printing them. */
export interface EventPrinter {
  open(): string;
  event(event: MptcpEvent): string;
  /** Printed on standard error. */
  overrun(): string;
  close(): string;
}

const overrun = () => `netlink receive error ${errnoText(ENOBUFS)} (${ENOBUFS})\n`;

function ipPrinter(style: OutputStyle, timestamp: TimestampChoice): EventPrinter {
  if (!style.json) {
    return {
      open: () => '',
      event: (event) => formatEventLine(event, shownLinkName, style, timestamp, nowUs()),
      overrun,
      close: () => '',
    };
  }
  const array = new JsonArrayText(style.pretty);
  return {
    open: () => array.open(),
    event: (event) => array.object(eventJsonFields(event, shownLinkName, timestamp, nowUs())),
    overrun,
    close: () => array.close(),
  };
}

function endOfSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}

function subscriptionFailure(error: unknown): Exit | CommandFailure {
  if (!(error instanceof SystemError)) return outcomeOfError(error);
  const stderr = `can't subscribe to mptcp events: ${errnoText(error.errno)}\n`;
  return { kind: 'exit', exitCode: ARGUMENT_ERROR, stderr };
}

/** Resolves at the end of the program's life, or at once with why it could not begin. */
export async function runMonitorWith(
  printer: EventPrinter,
  output: Output,
): Promise<Exit | CommandFailure | undefined> {
  let watch;
  try {
    // Signals first: from the moment that events are being gathered, an end has to print what came.
    const ended = endOfSignal();
    watch = watchMptcpEvents({
      onEvent: (event) => output.write(printer.event(event)),
      onOverrun: () => output.error(printer.overrun()),
      onDrained: () => output.flush(),
    });
    output.write(printer.open());
    await ended;
  } catch (error) {
    return subscriptionFailure(error);
  } finally {
    watch?.close();
  }
  output.write(printer.close());
  return undefined;
}

export function runMonitor(
  style: OutputStyle,
  timestamp: TimestampChoice,
  output: Output,
): Promise<Exit | CommandFailure | undefined> {
  return runMonitorWith(ipPrinter(style, timestamp), output);
}
