/**
 * `weft daemon status` and `weft daemon set`: ask and change the daemon that runs here. To start one is `weft daemon`
 * without a word behind it, which weft.ts hands to commands/daemon.ts.
 */
import { Argument, Command } from 'commander';
import { DaemonControlClient } from '../../service/index.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';
import { formatDaemonStatus, formatInterfaceChange } from '../daemon-text.ts';
import { outputWidth } from '../text-layout.ts';

interface Options {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

function runStatus(options: Options): Promise<void> {
  return reportingFailures(options, async () => {
    const report = await new DaemonControlClient().status();
    writeOutput(
      options.json === true
        ? `${JSON.stringify(report)}\n`
        : formatDaemonStatus(report, outputWidth(process.stdout)),
    );
  });
}

function runSet(name: string, priority: string, options: Options): Promise<void> {
  return reportingFailures(options, async () => {
    const change = await new DaemonControlClient().setInterface({ name, backup: priority === 'backup' });
    writeOutput(options.json === true ? `${JSON.stringify(change)}\n` : formatInterfaceChange(change));
  });
}

const STATUS_HELP = `
Exit codes: 0 the daemon runs and answered, 1 it does not run here or could not
be asked.
`;

const SET_HELP = `
Connections that are open follow at once: their peers are told (MP_PRIO). Those
that come later follow too, until the daemon ends or is told otherwise; what is
to last belongs in the configuration file ([interface NAME] flags = …).

Exit codes: 0 done, 1 not.

Examples:
  weft daemon set wlan0 backup    wlan0 carries data only when no other path can
  weft daemon set wlan0 normal    as all others
`;

function statusCommand(): Command {
  return new Command('status')
    .description('Shows plugins, interfaces, addresses and endpoints of the daemon that runs here.')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', STATUS_HELP)
    .action(runStatus);
}

function setCommand(): Command {
  return new Command('set')
    .description('Makes the subflows of an interface backup, or normal again.')
    .argument('<interface>', 'the name of a link')
    .addArgument(new Argument('<priority>', 'what its subflows are').choices(['backup', 'normal']))
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', SET_HELP)
    .action(runSet);
}

export function daemonControlCommand(): Command {
  return new Command('daemon')
    .summary(
      "keep MPTCP endpoints in step with this machine's addresses (mptcpd(8)), and ask the one that does",
    )
    .description(
      'Without a word behind it, or with options, it is the daemon itself: "weft daemon --help" shows those.',
    )
    .usage('[OPTIONS of mptcpd(8)] | status [options] | set <interface> backup|normal')
    .addCommand(statusCommand())
    .addCommand(setCommand());
}
