/**
 * `weft top`: paths and connections of this host as they are now, on the whole screen and in place, or once as text or
 * JSON.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { nearestWord } from '../../base/index.ts';
import {
  CONNECTION_ROWS_MAX,
  CONNECTION_SORTS,
  wantsColor,
  type ConnectionSort,
} from '../../service/index.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';

interface TopOptions {
  readonly once?: boolean;
  readonly json?: boolean;
  readonly sort: ConnectionSort;
  readonly reverse?: boolean;
  readonly search?: string;
  readonly rows: number;
  readonly verbose?: boolean;
}

const DEFAULT_ROWS = 20;

const isSort = (word: string): word is ConnectionSort =>
  (CONNECTION_SORTS as readonly string[]).includes(word);

function parseSort(value: string): ConnectionSort {
  if (isSort(value)) return value;
  const near = nearestWord(value, CONNECTION_SORTS);
  throw new InvalidArgumentError(
    `There is no "${value}"${near === undefined ? '' : ` (did you mean "${near}"?)`}: ${CONNECTION_SORTS.join(', ')}.`,
  );
}

function parseRows(value: string): number {
  const rows = Number(value);
  if (!/^\d+$/.test(value) || rows < 1 || rows > CONNECTION_ROWS_MAX) {
    throw new InvalidArgumentError(`It is a number from 1 to ${CONNECTION_ROWS_MAX}.`);
  }
  return rows;
}

/** Whether there is a terminal on both sides that can draw in place. */
const isFullScreen = ({ json = false, once = false }: TopOptions): boolean =>
  !once &&
  !json &&
  process.stdin.isTTY &&
  process.stdout.isTTY &&
  !['', 'dumb'].includes(process.env['TERM'] ?? '');

async function runTop(options: TopOptions): Promise<void> {
  await reportingFailures(options, async () => {
    const { showOnce, showFullScreen } = await import('../top/index.ts');
    const { reverse = false, rows, search = '', sort } = options;
    const wish = {
      sort,
      reverse,
      search: search.trim(),
      color: wantsColor(process.stdout.isTTY, process.env),
    };
    // At once: an answer that is under way may take long, and nobody waits for it any more.
    if (isFullScreen(options)) process.exit(await showFullScreen(wish));
    writeOutput(await showOnce({ ...wish, rows, json: options.json === true }));
  });
}

const HELP = `
Readings come from the Weft or the daemon that runs in this network namespace;
where neither can be asked, from the kernel. "?" shows the keys, q quits.
Without a terminal, and with --once, it prints once what it would show.

Exit codes: 0 quit, or printed; 1 it could not be read; 128 and the number of a
signal that ended it. The terminal is as it was in any case.

Examples:
  weft top                       all that goes on
  weft top --search firefox      only what has that word
  weft top --once --sort bytes   the connections that moved most
  weft top --json | jq '.overview.paths[] | {id, state, rttUs}'
`;

export function topCommand(): Command {
  return new Command('top')
    .summary('show paths and connections as they are now, in place')
    .description(
      'Shows paths with their rates, round-trip times and losses, the connections that use them, tunnels and events, and keeps it up to date.',
    )
    .addOption(
      new Option('--sort <what>', CONNECTION_SORTS.join(', ')).argParser(parseSort).default('rate', 'rate'),
    )
    .option('--reverse', 'the other way round')
    .option('--search <words>', 'only connections in which all these words occur')
    .option('--once', 'print once and end, also on a terminal')
    .addOption(
      new Option('--rows <n>', 'with --once or --json: how many connections')
        .argParser(parseRows)
        .default(DEFAULT_ROWS, String(DEFAULT_ROWS)),
    )
    .option('--json', 'once, as one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runTop);
}
