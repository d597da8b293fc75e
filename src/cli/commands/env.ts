/** `weft env`: prints what a shell evaluates so that its programs use the proxy of the running Weft. */
import { Command, Option } from 'commander';
import { WeftError } from '../../base/index.ts';
import { findProxyUrl } from '../../service/index.ts';
import { writeOutput } from '../command-result.ts';
import { setLines, shellOf, SHELLS, unsetLines, type Shell } from '../proxy-environment.ts';

interface EnvOptions {
  readonly shell?: Shell;
  readonly unset?: boolean;
}

const SCHEME = 'http://';

async function printEnvironment({ shell = shellOf(process.env['SHELL']), unset }: EnvOptions): Promise<void> {
  if (unset === true) {
    writeOutput(unsetLines(shell));
    return;
  }
  const url = await findProxyUrl();
  if (url === undefined) {
    throw new WeftError('no proxy to name: Weft does not run here', {
      code: 'NOT_RUNNING',
      hint: 'start it with "weft up"',
    });
  }
  writeOutput(setLines(shell, url.slice(SCHEME.length)));
}

const HELP = `
Sets http_proxy, https_proxy, all_proxy and no_proxy, in lower and upper case.
A proxy that asks for users wants them in front of the address, which is left to
you: "http://USER:PASSWORD@127.0.0.1:13128".

Exit code 1: no Weft runs here, and nothing is printed for the shell.

Examples:
  eval "$(weft env)"                 sh, bash, zsh
  weft env --shell fish | source     fish
  eval "$(weft env --unset)"         as before
`;

export function envCommand(): Command {
  return new Command('env')
    .summary("print shell exports of the running Weft's proxy")
    .description(
      'Prints commands for a shell whose programs are to use the proxy of the Weft that runs here.',
    )
    .addOption(new Option('--shell <name>', 'the shell (default: that of $SHELL)').choices(SHELLS))
    .option('--unset', 'take the variables away')
    .addHelpText('after', HELP)
    .action(printEnvironment);
}
