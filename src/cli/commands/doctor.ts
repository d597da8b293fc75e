/** `weft doctor`: examines this host and says what to do. Changes nothing. */
import { Command } from 'commander';
import { askRunning, collectFacts, judge, withDaemon, withObserved } from '../../service/index.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';
import { formatDiagnosis } from '../doctor-text.ts';
import { outputWidth } from '../text-layout.ts';

interface DoctorOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

async function runDoctor(options: DoctorOptions): Promise<void> {
  await reportingFailures(options, async () => {
    const diagnosis = judge(await withObserved(await withDaemon(collectFacts(await askRunning()))));
    writeOutput(
      options.json === true
        ? `${JSON.stringify(diagnosis)}\n`
        : formatDiagnosis(diagnosis, outputWidth(process.stdout)),
    );
    process.exitCode = diagnosis.healthy ? 0 : 1;
  });
}

const HELP = `
Looks at the kernel, sysctls, rights, uplinks, endpoints, limits, per-address
routes, policy rules, the reverse path filter, packet filter rules and the
counters of MPTCP. Reads only. As root it sees more: packet filter rules.
"weft explain" says the same of one connection.

Exit codes: 0 nothing failed (there may be warnings), 1 something did.

Examples:
  sudo weft doctor
  weft doctor --json | jq '.checks[] | select(.verdict == "fail")'
`;

export function doctorCommand(): Command {
  return new Command('doctor')
    .summary('check this host for multipath and say what to do')
    .description(
      'Checks whether this host can carry connections over several paths, and says what to do where it cannot.',
    )
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runDoctor);
}
