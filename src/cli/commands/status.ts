/** `weft status`: asks the running Weft of this network namespace and prints what it says. */
import { Command } from 'commander';
import { ControlClient, isProxyAlive, type StatusReport } from '../../service/index.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';
import { formatStatus } from '../status-text.ts';
import { outputWidth } from '../text-layout.ts';

interface StatusOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** The report, with what the process cannot say of itself: whether a client gets an answer. */
async function readReport(): Promise<StatusReport> {
  const report = await new ControlClient().status();
  const { proxy } = report;
  const [address] = proxy.addresses;
  const alive = address !== undefined && (await isProxyAlive(address));
  return { ...report, proxy: { ...proxy, alive } };
}

async function runStatus(options: StatusOptions): Promise<void> {
  await reportingFailures(options, async () => {
    const report = await readReport();
    writeOutput(
      options.json === true
        ? `${JSON.stringify(report)}\n`
        : formatStatus(report, outputWidth(process.stdout)),
    );
  });
}

const HELP = `
Exit codes: 0 Weft runs and answered, 1 it does not run or could not be asked.

Examples:
  weft status                               is multipath in use; if not, why
  weft status --json | jq .multipath.inUse  the same for programs
  sudo weft status                          of the one that root runs
`;

export function statusCommand(): Command {
  return new Command('status')
    .summary('say whether multipath is in use, and show paths and connections')
    .description(
      'Shows the paths, limits and proxied connections of the Weft that runs in this network namespace, and says in words whether multipath is in use and, if not, why not.',
    )
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runStatus);
}
