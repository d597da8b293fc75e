/** `weft tunnel status`: what the tunnels of this network namespace say, once or every second. */
import { Command } from 'commander';
import { readTunnelReports, type TunnelReport } from '../../service/index.ts';
import { reportingFailures, writeMoreOutput, writeOutput } from '../command-result.ts';
import { outputWidth } from '../text-layout.ts';
import { formatTunnelReports } from '../tunnel-text.ts';

interface StatusOptions {
  readonly interface?: string;
  readonly watch?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

const EVERY_MS = 1000;
/** Cursor home, and what is below it erased (ECMA-48 CUP, ED). */
const HOME = '\u001b[H';
const ERASE_BELOW = '\u001b[J';
const ERASE_ALL = '\u001b[2J';

function formatReports(reports: readonly TunnelReport[], options: StatusOptions): string {
  if (options.json !== true) return formatTunnelReports(reports, outputWidth(process.stdout));
  // One that is named is one object; else a list, whatever its length.
  const value = options.interface === undefined ? { tunnels: reports } : reports[0];
  return `${JSON.stringify(value)}\n`;
}

const sleep = (durationMs: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, durationMs);
  });

/** Ends when the reader leaves, or when the tunnel does. */
async function watch(options: StatusOptions): Promise<void> {
  const isScreen = process.stdout.isTTY && options.json !== true;
  if (isScreen) writeOutput(ERASE_ALL);
  for (;;) {
    const text = formatReports(await readTunnelReports(options.interface), options);
    const shown = isScreen ? `${HOME}${text.replaceAll('\n', '\u001b[K\n')}${ERASE_BELOW}` : text;
    if (!writeMoreOutput(shown)) return;
    await sleep(EVERY_MS);
  }
}

async function runStatus(options: StatusOptions): Promise<void> {
  await reportingFailures(options, async () => {
    if (options.watch === true) await watch(options);
    else writeOutput(formatReports(await readTunnelReports(options.interface), options));
  });
}

const HELP = `
Round-trip time, jitter and loss are known of paths whose other end is Weft too.
With --json: {"tunnels": [...]}, or with --interface that one's object; with
--watch such a line every second.

Exit codes: 0 a tunnel runs here and answered, 1 none does, or it could not be
asked.

Examples:
  weft tunnel status --watch
  weft tunnel status --json | jq '.tunnels[].connections[].paths[].rttUs'
`;

export function tunnelStatusCommand(): Command {
  return new Command('status')
    .summary('show the tunnels that run here')
    .description('Shows the tunnels that run in this network namespace, their connections and paths.')
    .option('--interface <name>', 'only the tunnel with this link')
    .option('--watch', 'again every second, until it is stopped')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runStatus);
}
