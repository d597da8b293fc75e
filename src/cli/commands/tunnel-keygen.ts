/** `weft tunnel keygen`: a new key for `auth_key`. */
import { Command } from 'commander';
import { makeTunnelKey } from '../../service/index.ts';
import { writeOutput } from '../command-result.ts';

const HELP = `
The line belongs behind "auth_key =" in the connection's file of both ends,
which nobody else should be able to read. With "auth_type = 2" control messages
are authenticated by it. MPT uses the first 32 characters of a key as they
stand, so 32 letters and digits are as good as a key can be for it.

Example:
  weft tunnel keygen
`;

export function tunnelKeygenCommand(): Command {
  return new Command('keygen')
    .summary('print a new key')
    .description('Prints a new key for control messages, from the random numbers of the system.')
    .addHelpText('after', HELP)
    .action(() => writeOutput(`${makeTunnelKey()}\n`));
}
