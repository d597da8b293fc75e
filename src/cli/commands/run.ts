/** `weft run PROGRAM`: runs a program that knows nothing of MPTCP with MPTCP sockets, in the place of this process. */
import { Command, Option } from 'commander';
import { becomeProgram, prepareRun, RunError, type Via } from '../../service/index.ts';
import { reportFailure, reportNotice } from '../command-result.ts';

interface RunCommandOptions {
  readonly via?: Via;
  readonly debug?: boolean;
}

async function runCommandLine(
  program: string,
  args: readonly string[],
  { via, debug }: RunCommandOptions,
): Promise<void> {
  try {
    const prepared = await prepareRun([program, ...args], { via, debug });
    if (prepared.notice !== undefined) reportNotice(prepared.notice);
    becomeProgram(prepared);
  } catch (error) {
    reportFailure(error);
    process.exitCode = error instanceof RunError ? error.exitCode : 1;
  }
}

const HELP = `
Node programs get weft/register, Go programs GODEBUG=multipathtcp=1, programs
that use the C library libmptcpwrap.so where it is installed. What none of them
reaches (static and setuid programs) is told so, and gets the address of the
proxy of a running "weft up" in http_proxy, https_proxy and all_proxy.

Exit codes: the program's own; 127 it was not found, 126 it cannot be run, 1 for
"--via proxy" without a running Weft.

Examples:
  weft run curl -O https://example.org/file
  weft run node server.js
  weft run --via proxy ./static-program
`;

export function runCommand(): Command {
  return new Command('run')
    .summary('run a program with MPTCP sockets')
    .description('Runs a program that knows nothing of MPTCP so that its TCP sockets are MPTCP.')
    .addOption(
      new Option('--via <way>', 'only preload into it, or only set the proxy').choices(['preload', 'proxy']),
    )
    .option('-d, --debug', 'tell each socket that becomes MPTCP on standard error')
    .argument('<program>', 'a name in PATH, or a path')
    .argument('[args...]', 'for the program')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action(runCommandLine);
}
