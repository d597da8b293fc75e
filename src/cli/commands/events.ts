/**
 * `weft events`: what the path-management daemon sees and does, as JSON lines, until the reader or the user has enough.
 * docs/events.md describes the lines.
 */
import { Command, InvalidArgumentError } from 'commander';
import { EPOLLERR, reactor, type Watch } from '../../native/index.ts';
import { nearestWord, WeftError } from '../../base/index.ts';
import {
  DaemonControlClient,
  EVENT_KINDS,
  type ControlLineStream,
  type StreamEvent,
} from '../../service/index.ts';
import { reportFailure, writeMoreOutput } from '../command-result.ts';

type Kind = StreamEvent['kind'];

interface EventsOptions {
  readonly kind?: readonly Kind[];
  readonly count?: number;
  readonly verbose?: boolean;
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const STDOUT = 1;

/** Calls back when nobody reads standard output any more, also while there is nothing to write. */
function watchReader(gone: () => void): Watch | undefined {
  try {
    return reactor.watch(STDOUT, EPOLLERR, gone);
  } catch {
    // A file is never gone.
    return undefined;
  }
}

/** What is not an event of the daemon is not counted by --count. */
const isEvent = (line: string) => {
  const { kind } = JSON.parse(line) as StreamEvent;
  return kind !== 'listening' && kind !== 'lost';
};

/** Prints until `count` events, or until it is stopped. @returns `false`: the daemon ended it */
async function printEvents(stream: ControlLineStream, count: number): Promise<boolean> {
  let left = count;
  let stopped = false;
  const stop = () => {
    stopped = true;
    stream.close();
  };
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  const reader = watchReader(stop);
  try {
    for await (const lines of stream.lines()) {
      let end = lines.length;
      if (count !== Infinity) {
        for (end = 0; end < lines.length && left > 0; end++) if (isEvent(lines[end] ?? '')) left--;
      }
      if (
        !writeMoreOutput(
          lines
            .slice(0, end)
            .map((line) => `${line}\n`)
            .join(''),
        ) ||
        left === 0
      )
        stop();
    }
  } finally {
    reader?.close();
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  }
  return stopped;
}

async function runEvents(options: EventsOptions): Promise<void> {
  try {
    const stream = await new DaemonControlClient().events(options.kind);
    if (await printEvents(stream, options.count ?? Infinity)) return;
    throw new WeftError('the daemon has ended, and its events with it', {
      code: 'ENDED',
      hint: 'ask again when it runs',
    });
  } catch (error) {
    reportFailure(error, options.verbose);
    process.exitCode = 1;
  }
}

const isKind = (word: string): word is Kind => (EVENT_KINDS as readonly string[]).includes(word);

function collectKind(value: string, previous: readonly Kind[] = []): readonly Kind[] {
  const words = value.split(',');
  const unknown = words.find((word) => !isKind(word));
  if (unknown !== undefined) {
    const near = nearestWord(unknown, EVENT_KINDS);
    throw new InvalidArgumentError(
      `There is no kind "${unknown}"${near === undefined ? '' : ` (did you mean "${near}"?)`}: ${EVENT_KINDS.join(', ')}.`,
    );
  }
  return [...previous, ...words.filter(isKind)];
}

function parseCount(value: string): number {
  if (!/^[1-9]\d{0,14}$/.test(value)) throw new InvalidArgumentError('It is a whole number above 0.');
  return Number(value);
}

const HELP = `
Kinds: ${EVENT_KINDS.slice(0, 6).join(', ')},
${EVENT_KINDS.slice(6).join(', ')}. "listening" is the first line: nothing is missed
from there on. "lost" tells how many lines a reader that was too slow has
missed, whatever kinds are asked for. docs/events.md has the fields.

Exit codes: 0 as many as --count says were printed, the reader left, or SIGINT,
SIGTERM or SIGHUP; 1 the daemon does not run here, could not be asked, or ended.

Examples:
  weft events                             all, until Ctrl-C
  weft events --kind mptcp --count 1      waits for the next event of MPTCP
  weft events --kind endpoint | jq -r '[.action, .address] | @tsv'
`;

export function eventsCommand(): Command {
  return new Command('events')
    .summary('follow what the path-management daemon sees and does, as JSON lines')
    .description(
      'Prints the events of the path-management daemon that runs in this network namespace as they come, one JSON object a line.',
    )
    .option('--kind <kind,...>', 'only events of these kinds; may be given more than once', collectKind)
    .option('--count <n>', 'end after so many events', parseCount)
    .option('--json', 'is how events are printed in any case')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runEvents);
}
