/** `weft reload`: the running Weft reads its rules again; what goes through it goes on. */
import { Command } from 'commander';
import { ControlClient, describePolicy, type ReloadReport } from '../../service/index.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';

interface ReloadOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

function tell(report: ReloadReport): string {
  const { applied, mistakes } = report;
  const counts = describePolicy(report);
  if (applied) return `In force: ${counts}. What was open goes on.\n`;
  return `${mistakes.join('\n')}\nNothing was changed; in force as before: ${counts}.\n`;
}

async function runReload({ json = false, verbose }: ReloadOptions): Promise<void> {
  await reportingFailures({ json, verbose }, async () => {
    const report = await new ControlClient().reload();
    if (json) writeOutput(`${JSON.stringify(report)}\n`);
    else if (report.applied) writeOutput(tell(report));
    else process.stderr.write(tell(report));
    if (!report.applied) process.exitCode = 1;
  });
}

const HELP = `
Reads the rules file, and the files that it names, as "weft up --rules" did.
Connections that are open stay open; new ones follow the new rules. When there
is a mistake nothing changes, and every mistake is told with its line. The same
happens at the signal SIGHUP, with the mistakes in the log.

Exit codes: 0 the rules are in force; 1 they have mistakes, or Weft does not
run here.

Examples:
  sudo weft up --background --rules /etc/weft/rules.toml
  sudo weft reload
`;

export function reloadCommand(): Command {
  return new Command('reload')
    .summary('read the rules again, without ending what is open')
    .description('Has the Weft of this network namespace read its rules file again.')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runReload);
}
