/**
 * `ip mptcp monitor`: prints events until SIGINT or SIGTERM, which end it with status 0. What has been printed is
 * written as soon as no further event is waiting. When the kernel dropped events it says so and goes on.
 */
import { errnoText, SystemError } from '../../native/index.ts';
import { watchMptcpEvents } from '../../mptcp/index.ts';
import { outcomeOfError } from './ip-session.ts';
import { ARGUMENT_ERROR, type CommandFailure, type Exit } from './outcome.ts';
import type { Output } from './output.ts';
import type { EventPrinter } from './printer.ts';

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

/**
 * Resolves at a signal, or at once with why it could not begin.
 * @param receiveBufferBytes how much the kernel may hold for us; by default more than ip's 1 MiB
 */
export async function runMonitor(
  printer: EventPrinter,
  output: Output,
  receiveBufferBytes: number | undefined,
): Promise<Exit | CommandFailure | undefined> {
  // Signals first: from the moment that events are being gathered, an end has to print what came.
  const ended = endOfSignal();
  let watch;
  try {
    watch = watchMptcpEvents(
      {
        onEvent: (event) => output.write(printer.event(event)),
        onOverrun: () => {
          const { stdout, stderr } = printer.overrun();
          if (stdout !== undefined) output.write(stdout);
          if (stderr !== undefined) output.error(stderr);
        },
        onDrained: () => output.flush(),
      },
      receiveBufferBytes === undefined ? {} : { receiveBufferBytes },
    );
  } catch (error) {
    return subscriptionFailure(error);
  }
  output.write(printer.open());
  await ended;
  watch.close();
  output.write(printer.close());
  return undefined;
}
