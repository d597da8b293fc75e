/**
 * `weft explain [CONNECTION]`: why this host, or one connection, is on several paths or is not. Asks the Weft or the
 * daemon that runs here, which has seen connections begin; without one it looks by itself. Changes nothing.
 */
import { Command } from 'commander';
import { askWhy, explainOnce, type WhyReport } from '../../service/index.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';
import { formatWhy } from '../explain-text.ts';
import { outputWidth } from '../text-layout.ts';
import { packageVersion } from '../version.ts';

interface ExplainOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

async function explain(connection: string | undefined): Promise<WhyReport> {
  const query = connection === undefined ? {} : { connection };
  return (await askWhy(query)) ?? (await explainOnce(query, packageVersion()));
}

async function runExplain(connection: string | undefined, options: ExplainOptions): Promise<void> {
  await reportingFailures(options, async () => {
    const report = await explain(connection);
    writeOutput(
      options.json === true
        ? `${JSON.stringify(report)}\n`
        : formatWhy(report, outputWidth(process.stdout), options.verbose === true),
    );
  });
}

const HELP = `
CONNECTION is the id that "weft top" and the page show (m1f00ba7), a token
(0x1f00ba7), ADDRESS:PORT of the other end, or the name it was opened for.
Without it: the host, as "weft doctor" looks at it, the worst first.

Each finding has what it rests on: counters, settings, route look-ups, as they
were read. docs/why.md lists the findings. Counters are the whole host's.

Exit codes: 0 it was explained, 1 there is no such connection, several are
meant, or nothing could be read.

Examples:
  weft explain                      what limits this host now
  weft explain 203.0.113.10:443     why is this connection on one path
  weft explain m1f00ba7 --json | jq '.findings[0]'
`;

export function explainCommand(): Command {
  return new Command('explain')
    .summary('say why a connection, or this host, is on one path or on several')
    .description(
      'Says in words why one connection, or this host, uses several paths or does not, what that rests on, and what to do.',
    )
    .argument('[connection]', 'which connection')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'evidence also of what is well; say more when something fails')
    .addHelpText('after', HELP)
    .action(runExplain);
}
