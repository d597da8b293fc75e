/** `weft down`: ends the Weft of this network namespace, and undoes what one that was killed has left. */
import { Command } from 'commander';
import { takeDown, type DownReport } from '../../service/index.ts';
import { reportingFailures, reportNotice, writeOutput } from '../command-result.ts';

interface DownOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

function tell({ outcome, removed }: DownReport): string {
  const ended = {
    ended: 'Weft has stopped; this machine is as it was.',
    killed: 'Weft did not stop by itself and was killed.',
    'not-running': 'Weft was not running here.',
  }[outcome];
  const undone = removed.length === 0 ? '' : ` Removed what a killed one had left: ${removed.join(', ')}.`;
  return `${ended}${undone}\n`;
}

async function runDown({ json = false, verbose }: DownOptions): Promise<void> {
  await reportingFailures({ json, verbose }, async () => {
    const report = await takeDown();
    writeOutput(json ? `${JSON.stringify(report)}\n` : tell(report));
    for (const failure of report.failures) reportNotice(failure);
    if (report.failures.length > 0) process.exitCode = 1;
  });
}

const HELP = `
Weft is asked to stop, then told by a signal, then killed; it may take 20
seconds each. What a killed one leaves is removed: rules and routes, endpoints
and limits, an appliance with all that belongs to it, files.

Exit codes: 0 it has stopped, or did not run, and nothing of it is left; 1 it
belongs to another user, or something could not be removed.

Examples:
  sudo weft up --background
  sudo weft down
`;

export function downCommand(): Command {
  return new Command('down')
    .summary('stop the running Weft, and undo what a killed one left')
    .description(
      'Stops the Weft of this network namespace, in the foreground or in the background, and leaves this machine as it was before.',
    )
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runDown);
}
