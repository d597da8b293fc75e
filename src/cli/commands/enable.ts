/** `weft enable UNIT` and what it shares with `weft disable`: the words in which a change of a unit is told. */
import { Command, Option } from 'commander';
import { enableUnit, type UnitChange, type Via } from '../../service/index.ts';
import { printable } from '../../base/index.ts';
import { reportingFailures, reportNotice, writeOutput } from '../command-result.ts';

interface EnableOptions {
  readonly root?: string;
  readonly via?: Via;
  readonly proxy?: string;
}

export const rootOption = (): Option =>
  new Option('--root <dir>', 'files of another machine, below this folder').env('WEFT_ROOT');

/** Carries out a change of a unit and tells it. */
export function tellUnitChange(how: 'enabled' | 'disabled', change: () => UnitChange): Promise<void> {
  return reportingFailures({}, () => {
    const { unitPath, dropInPath, changed, warnings } = change();
    for (const warning of warnings) reportNotice(warning);
    const drop = `${how === 'enabled' ? 'by' : 'removed'} ${dropInPath}`;
    const told = changed ? `${drop}; counts from its next start` : 'it was so already';
    writeOutput(`mptcp successfully ${how} on unit ${printable(unitPath)}\n  ${printable(told)}\n`);
  });
}

const HELP = `
A service gets the environment by which "weft run" reaches programs, added to
what its files set; a socket unit gets SocketProtocol=mptcp (systemd 257). Both
by a drop-in, /etc/systemd/system/UNIT.d/weft-mptcp.conf; the unit's own file
stays as it is.

Exit codes: 0 done or done before, 1 it could not be done.

Examples:
  sudo weft enable nginx
  sudo systemctl restart nginx
`;

export function enableCommand(): Command {
  return new Command('enable')
    .summary('give a systemd unit MPTCP sockets')
    .description('Gives a service or a socket of systemd MPTCP, from its next start on.')
    .argument('<unit>', 'its name, or the path of its file')
    .addOption(
      new Option('--via <way>', 'what reaches its sockets, or the address of the proxy')
        .choices(['preload', 'proxy'])
        .default('preload'),
    )
    .option('--proxy <url>', 'for "--via proxy"', 'http://127.0.0.1:13128')
    .addOption(rootOption())
    .addHelpText('after', HELP)
    .action((unit: string, { root, via, proxy }: EnableOptions) =>
      tellUnitChange('enabled', () => enableUnit(unit, { root, via, proxyUrl: proxy })),
    );
}
