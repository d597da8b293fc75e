/** `weft web`: prints the page's address with its token, told by the Weft or the daemon that runs here. */
import { Command } from 'commander';
import { WeftError } from '../../base/index.ts';
import { askWebReports } from '../../service/index.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';

interface WebCommandOptions {
  readonly verbose?: boolean;
}

async function runWebCommand({ verbose }: WebCommandOptions): Promise<void> {
  await reportingFailures({ verbose }, async () => {
    const reports = await askWebReports();
    const urls = reports.flatMap(({ url }) => (url === undefined ? [] : [url]));
    if (urls.length === 0) {
      const why = reports.find((report) => report.why !== undefined)?.why ?? 'nobody has started it';
      throw new WeftError(`no page is served: ${why}`, { code: 'NO_PAGE' });
    }
    writeOutput(urls.map((url) => `${url}\n`).join(''));
  });
}

const HELP = `
Whoever has this address sees and changes what Weft does: it is for your
browser, and for no message, ticket or log, and for no command line: every user
of the machine reads those. The token in it is another one after each start,
unless --web-token-file names a file.

From another machine, without opening anything to the network:
  ssh -L 13180:127.0.0.1:13180 HOST    then open the address there

Exit codes: 0 printed, 1 nothing runs here, it may not be asked, or it serves no
page.

Examples:
  weft web                      the address of the page of your own Weft
  sudo weft web                 of the one that root runs
`;

export function webCommand(): Command {
  return new Command('web')
    .summary("print the address of the running Weft's page")
    .description(
      'Prints the address of the page that shows links, paths and connections of this machine, with the token that opens it.',
    )
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runWebCommand);
}
