/**
 * `weft up`: runs the proxy and keeps the host's paths in use, in the foreground until a signal, or in the background
 * until `weft down`. Whatever ends it, what was made on the host is undone; what a `kill -9` leaves, the next start
 * removes, or `weft down`.
 */
import { Command } from 'commander';
import {
  collectLink,
  collectListen,
  collectWeb,
  collectWebOrigin,
  optionWords,
  parseBackend,
  withoutSecrets,
} from '../up-options.ts';
import type { UpOptions } from '../up-options.ts';

async function runUp(options: UpOptions): Promise<void> {
  const words = optionWords(process.argv.slice(process.argv.indexOf('up') + 1));
  if (options.background === true) {
    const { runUpInBackground } = await import('../up-background.ts');
    await runUpInBackground(options, words);
    return;
  }
  if (process.platform === 'darwin') {
    const { runUpOnMac } = await import('../up-mac.ts');
    await runUpOnMac(options);
    return;
  }
  const { runUp: runHere } = await import('../up-run.ts');
  await runHere(options, withoutSecrets(words));
}

const HELP = `
Needs no configuration. With root rights and two or more uplinks it gives each
address a routing table, a rule and an MPTCP endpoint, follows every change, and
removes all of it at the end. With one uplink it changes nothing until a second
appears. Without root rights it runs the proxy and says what is missing.

Backends: "native" uses the kernel of this host, "appliance" a small virtual
machine whose kernel has MPTCP; "auto" takes native where the kernel has MPTCP,
else the appliance where QEMU and an image are there. "weft status" says which
and why.

The log goes to standard error as short lines, with --json to standard output as
one JSON object a line. SIGINT and SIGTERM stop it in order (exit code 0); a
second signal ends it at once. Exit code 1: it could not start, or an error
ended it.

With --background the command returns when Weft is ready (exit code 0, also
when it ran before with the same options) or could not start (1, with the
reason). "weft down" stops it.

Examples:
  sudo weft up                 all uplinks; proxy on loopback, port 13128
  sudo weft up --background    the same, until "sudo weft down"
  sudo weft up --backup lte0   lte0 carries data only when no other path works
  sudo weft up --exclude eth1  never use eth1
  sudo weft up --transparent   for programs that know of no proxy, too
  weft up --listen 3128        as an ordinary user, on another port
  sudo weft up --web 192.168.1.2:13180 --web-token-file /etc/weft/web.token
                               the page for other machines (docs/web.md)
  sudo weft up --listen 192.168.1.2:3128 --allow-remote
                               a proxy for the local network
`;

export function upCommand(): Command {
  return new Command('up')
    .summary('carry programs over every path of this machine, until stopped')
    .description(
      'Runs a local HTTP proxy whose connections use every path of this machine (Multipath TCP), and sets up and follows those paths.',
    )
    .option('--interface <name>', 'use only this link; may be given more than once', collectLink)
    .option('--exclude <name>', 'never use this link; may be given more than once', collectLink)
    .option(
      '--backup <name>',
      'use this link only when no other works; may be given more than once',
      collectLink,
    )
    .option(
      '--listen <address:port>',
      'where the proxy listens; may be given more than once (default: 127.0.0.1:13128 and [::1]:13128)',
      collectListen,
    )
    .option('--allow-remote', 'serve clients of other machines too')
    .option('--transparent', 'programs of this machine use the proxy without knowing of it (nftables)')
    .option(
      '--transparent-from <name>',
      'so do the machines behind this link; may be given more than once',
      collectLink,
    )
    .option('--reject-quic', 'with --transparent: refuse UDP port 443, so that browsers use TCP')
    .option('--rules <file>', 'what may be reached, by whom, and which way; "weft reload" reads it again')
    .option(
      '--upstream <url>',
      'go through this proxy: weft://HOST:PORT (a far end, "weft serve"), http://, https:// or socks5://',
    )
    .option('--token-file <file>', 'the token that the far end knows this Weft by')
    .option(
      '--backend <kind>',
      'what carries connections: auto, native or appliance (default: auto)',
      parseBackend,
    )
    .option(
      '--web <address:port>',
      'where the page is that shows paths and connections; may be given more than once (default: 127.0.0.1:13180)',
      collectWeb,
    )
    .option('--no-web', 'no page and no metrics')
    .option(
      '--web-token-file <file>',
      'the token for the page, made when it is not there; needed beyond loopback',
    )
    .option(
      '--web-origin <origin>',
      'where a reverse proxy shows the page, such as https://weft.example',
      collectWebOrigin,
    )
    .option('--background', 'return when it is ready, and go on without a terminal')
    .option('--no-multipath', 'plain TCP over the usual route, for comparison')
    .option('--json', 'log as JSON lines on standard output')
    .option('--verbose', 'log more')
    .addHelpText('after', HELP)
    .action(runUp);
}
