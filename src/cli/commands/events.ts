/**
 * `weft events`: what the path-management daemon, or else a running Weft, sees and does, as JSON lines, until the reader
 * or the user has enough. docs/events.md describes the lines.
 */
import { Command, InvalidArgumentError } from 'commander';
import { EPOLLERR, reactor, type Watch } from '../../native/index.ts';
import { nearestWord, WeftError } from '../../base/index.ts';
import {
  ControlClient,
  DaemonControlClient,
  EVENT_KINDS,
  OBSERVED_EVENT_KINDS,
  type ControlLineStream,
  type ObservedEventKind,
  type StreamEvent,
} from '../../service/index.ts';
import { reportingFailures, writeMoreOutput } from '../command-result.ts';

type Kind = StreamEvent['kind'] | ObservedEventKind;

/** Of the daemon and of a running Weft. */
const KINDS: readonly Kind[] = [...new Set([...EVENT_KINDS, ...OBSERVED_EVENT_KINDS])];

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
  const { kind } = JSON.parse(line) as { readonly kind: Kind };
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

interface Events {
  readonly stream: ControlLineStream;
  /** Who tells, as sentences name it. */
  readonly name: string;
}

/** Of the daemon, or where none runs of a running Weft. @throws WeftError `NOT_RUNNING` and others */
async function openEvents(kinds: readonly Kind[] = []): Promise<Events> {
  try {
    // The daemon itself says what is no kind of its.
    const stream = await new DaemonControlClient().events(kinds as readonly StreamEvent['kind'][]);
    return { stream, name: 'the daemon' };
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== 'NOT_RUNNING') throw error;
    const stream = await new ControlClient().events(kinds).catch((of: unknown) => {
      throw of instanceof WeftError && of.code === 'NOT_RUNNING' ? error : of;
    });
    return { stream, name: 'Weft' };
  }
}

async function runEvents(options: EventsOptions): Promise<void> {
  await reportingFailures({ verbose: options.verbose }, async () => {
    const { name, stream } = await openEvents(options.kind);
    if (await printEvents(stream, options.count ?? Infinity)) return;
    throw new WeftError(`${name} has ended, and its events with it`, {
      code: 'ENDED',
      hint: 'ask again when it runs',
    });
  });
}

const isKind = (word: string): word is Kind => (KINDS as readonly string[]).includes(word);

function collectKind(value: string, previous: readonly Kind[] = []): readonly Kind[] {
  const words = value.split(',');
  const unknown = words.find((word) => !isKind(word));
  if (unknown !== undefined) {
    const near = nearestWord(unknown, KINDS);
    throw new InvalidArgumentError(
      `There is no kind "${unknown}"${near === undefined ? '' : ` (did you mean "${near}"?)`}: ${KINDS.join(', ')}.`,
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
${EVENT_KINDS.slice(6).join(', ')}. Where no daemon runs and a Weft does, those of
"weft up": ${OBSERVED_EVENT_KINDS.slice(0, 6).join(', ')},
${OBSERVED_EVENT_KINDS.slice(6).join(', ')}. "listening" is the first line: nothing is missed
from there on. "lost" tells how many lines a reader that was too slow has
missed, whatever kinds are asked for. docs/events.md has the fields.

Exit codes: 0 as many as --count says were printed, the reader left, or SIGINT,
SIGTERM or SIGHUP; 1 neither runs here, could not be asked, or ended.

Examples:
  weft events                             all, until Ctrl-C
  weft events --kind mptcp --count 1      waits for the next event of MPTCP
  weft events --kind endpoint | jq -r '[.action, .address] | @tsv'
`;

export function eventsCommand(): Command {
  return new Command('events')
    .summary('follow what the daemon, or the running Weft, sees and does, as JSON lines')
    .description(
      'Prints the events of the path-management daemon that runs in this network namespace, or else of the running Weft, as they come, one JSON object a line.',
    )
    .option('--kind <kind,...>', 'only events of these kinds; may be given more than once', collectKind)
    .option('--count <n>', 'end after so many events', parseCount)
    .option('--json', 'is how events are printed in any case')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runEvents);
}
