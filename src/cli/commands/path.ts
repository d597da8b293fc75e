/** `weft path`: makes the paths of a link backup or normal while Weft, or the daemon, runs. */
import { Argument, Command } from 'commander';
import { findObserved } from '../../service/index.ts';
import { tellAnswer } from '../command-result.ts';

interface PathOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

async function runPath(link: string, priority: string, options: PathOptions): Promise<void> {
  await tellAnswer(options, async () => {
    const observed = await findObserved();
    return observed.setPath({ link, backup: priority === 'backup' });
  });
}

const HELP = `
Connections that are open follow at once: their peers are told (MP_PRIO). Those
that come later follow too, until Weft ends or is told otherwise; what is to
last is "weft up --backup LINK", or [interface LINK] flags = … for the daemon.
The running Weft is asked, and where none runs the daemon.

Exit codes: 0 done, 1 not.

Examples:
  sudo weft path wlan0 backup    wlan0 carries data only when no other path can
  sudo weft path wlan0 normal    as all others
`;

export function pathCommand(): Command {
  return new Command('path')
    .summary("make a link's paths backup, or normal again")
    .description('Makes the paths of a link backup, or normal again, on open connections too.')
    .argument('<link>', 'the name of a link')
    .addArgument(new Argument('<priority>', 'what its paths are').choices(['backup', 'normal']))
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runPath);
}
