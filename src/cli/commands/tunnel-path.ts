/** `weft tunnel path`: sets a path of a running tunnel up or down, or gives it another weight. */
import { Argument, Command, InvalidArgumentError } from 'commander';
import { WeftError } from '../../base/index.ts';
import { setTunnelPath, type TunnelPathAction } from '../../service/index.ts';
import { tellAnswer } from '../command-result.ts';

interface PathOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

const WEIGHT_MAX = 10_000;

function parseWeight(value: string): number {
  const weight = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (weight < 1 || weight > WEIGHT_MAX) {
    throw new InvalidArgumentError(`It is a whole number from 1 to ${WEIGHT_MAX}.`);
  }
  return weight;
}

function changeOf(what: string, weight: number | undefined): Pick<TunnelPathAction, 'up' | 'weight'> {
  if ((what === 'weight') !== (weight !== undefined)) {
    throw new WeftError('a weight is set with "weight NUMBER"', { code: 'USAGE' });
  }
  return weight === undefined ? { up: what === 'up' } : { weight };
}

async function runPath(
  tunnel: string,
  connection: string,
  path: string,
  what: string,
  weight: number | undefined,
  options: PathOptions,
): Promise<void> {
  await tellAnswer(options, () => setTunnelPath({ tunnel, connection, path, ...changeOf(what, weight) }));
}

const HELP = `
A path is called by its link (eth0), or LINK#NUMBER where a connection has
several on one link; its number ([path_0] is 0) does too. "down" is that of
"mpt path down": nothing uses the path until it is set up again. A weight is
that of the scheduler "weights", from the next packet on; "mpt save" writes it
down, and a file that was changed puts it back when it is read again.

Exit codes: 0 done, 1 not.

Examples:
  weft tunnel path tun0 office wlan0 down
  weft tunnel path tun0 office eth0 weight 3
`;

export function tunnelPathCommand(): Command {
  return new Command('path')
    .summary('set a path up or down, or give it another weight')
    .description('Sets a path of a tunnel that runs here up or down, or gives it another weight.')
    .argument('<tunnel>', "the tunnel's link")
    .argument('<connection>', 'its name, or its file')
    .argument('<path>', 'its link, LINK#NUMBER, or its number')
    .addArgument(new Argument('<what>', 'what is set').choices(['up', 'down', 'weight']))
    .argument('[weight]', 'with "weight": 1 to 10000', parseWeight)
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runPath);
}
