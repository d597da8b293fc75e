/**
 * `weft up`: runs the proxy and keeps the host's paths in use, in the foreground, until a signal. Whatever ends it,
 * what was made on the host is undone; what a `kill -9` leaves, the next start removes.
 */
import { Command, InvalidArgumentError } from 'commander';
import { errorText, type Logger } from '../../base/index.ts';
import { platformProblem } from '../../native/index.ts';
import { RouteNetlink } from '../../netlink/index.ts';
import { openLog, wantsColor, WeftService } from '../../service/index.ts';
import { greeting } from '../greeting.ts';
import { addListen, DEFAULT_LISTEN, parseListen, type ListenAddress } from '../listen-address.ts';
import { packageVersion } from '../version.ts';

interface UpOptions {
  readonly interface?: readonly string[];
  readonly exclude?: readonly string[];
  readonly backup?: readonly string[];
  readonly listen?: readonly ListenAddress[];
  readonly allowRemote?: boolean;
  readonly multipath: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** How long an orderly end may take before the process ends without it. */
const STOP_DEADLINE_MS = 5000;

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Resolves with the reason to stop: the first signal, or an error that nobody caught. A second signal ends the process
 * at once; then the next start cleans up.
 */
function waitForEnd(logger: Logger): Promise<{ readonly signal: string } | { readonly err: unknown }> {
  return new Promise((resolve) => {
    let ending = false;
    for (const signal of STOP_SIGNALS) {
      process.on(signal, () => {
        if (ending) {
          logger.warn({}, `second ${signal}: ending at once; the next "weft up" removes what is left`);
          process.exit(1);
        }
        ending = true;
        resolve({ signal });
      });
    }
    process.on('uncaughtException', (err) => {
      logger.error({ err }, 'Weft has met an error that it did not foresee, and stops');
      ending = true;
      resolve({ err });
    });
  });
}

/** Stops in bounded time. `false`: not everything could be stopped. */
async function stopInTime(service: WeftService, logger: Logger): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), STOP_DEADLINE_MS);
  });
  try {
    const outcome = await Promise.race([service.end(), late]);
    if (outcome === 'late') {
      logger.error(
        {},
        `stopping took longer than ${STOP_DEADLINE_MS / 1000} s; the next "weft up" removes what is left`,
      );
      return false;
    }
    return true;
  } catch (error) {
    logger.error({ err: error }, 'not everything could be stopped; the next "weft up" removes what is left');
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/** A name that no link has may be a mistake, or a modem that is not plugged in yet. */
function warnOfUnknownLinks(options: UpOptions, logger: Logger): void {
  const named = new Set([options.interface, options.exclude, options.backup].flatMap((names) => names ?? []));
  if (named.size === 0) return;
  const netlink = RouteNetlink.open();
  const known = new Set(netlink.links().map(({ name }) => name));
  netlink.close();
  for (const name of named) {
    if (!known.has(name)) logger.warn({}, `there is no link "${name}" now; it counts when it appears`);
  }
}

function startFailure(error: unknown): string {
  const text = errorText(error);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  // The proxy's own error says which address; what to do about it is known here.
  if (code === 'EADDRINUSE') {
    return `${text} — is it Weft ("weft status" tells)? Another port: --listen 127.0.0.1:13129`;
  }
  return text;
}

async function runUp(options: UpOptions): Promise<void> {
  const color = wantsColor(process.stderr.isTTY, process.env);
  const { json = false, verbose = false } = options;
  const logger = await openLog({ json, verbose, color });
  const problem = platformProblem();
  if (problem !== undefined) throw problem;
  const ended = waitForEnd(logger);
  const service = new WeftService({
    version: packageVersion(),
    listen: options.listen ?? DEFAULT_LISTEN,
    allowRemote: options.allowRemote ?? false,
    multipath: options.multipath,
    interfaces: options.interface ?? [],
    exclude: options.exclude ?? [],
    backup: options.backup ?? [],
    logger,
  });
  logger.info({}, `Weft ${packageVersion()}`);
  try {
    await service.start();
  } catch (error) {
    logger.error(verbose ? { err: error } : {}, startFailure(error));
    process.exit(1);
  }
  warnOfUnknownLinks(options, logger);
  for (const { level, message } of greeting(await service.status())) logger[level]({}, message);
  const reason = await ended;
  if ('signal' in reason) logger.info({}, `${reason.signal}: stopping`);
  const stopped = await stopInTime(service, logger);
  if (stopped) logger.info({}, 'stopped; this machine is as it was');
  process.exit(stopped && 'signal' in reason ? 0 : 1);
}

/** The kernel's own rule for names (dev_valid_name in net/core/dev.c); IFNAMSIZ is 16 with the terminating zero. */
const LINK_NAME = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

function collectLink(value: string, previous: readonly string[] = []): readonly string[] {
  if (!LINK_NAME.test(value)) {
    throw new InvalidArgumentError('No link can have this name; "ip link" shows those of this machine.');
  }
  return [...previous, value];
}

function collectListen(value: string, previous: readonly ListenAddress[] = []): readonly ListenAddress[] {
  const parsed = parseListen(value);
  if (typeof parsed === 'string') throw new InvalidArgumentError(`${parsed}.`);
  return addListen(previous, parsed);
}

const HELP = `
Needs no configuration. With root rights and two or more uplinks it gives each
address a routing table, a rule and an MPTCP endpoint, follows every change, and
removes all of it at the end. With one uplink it changes nothing until a second
appears. Without root rights it runs the proxy and says what is missing.

The log goes to standard error as short lines, with --json to standard output as
one JSON object a line. SIGINT, SIGTERM and SIGHUP stop it in order (exit code
0); a second signal ends it at once. Exit code 1: it could not start, or an
error ended it.

Examples:
  sudo weft up                 all uplinks; proxy on loopback, port 13128
  sudo weft up --backup lte0   lte0 carries data only when no other path works
  sudo weft up --exclude eth1  never use eth1
  weft up --listen 3128        as an ordinary user, on another port
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
    .option('--no-multipath', 'plain TCP over the usual route, for comparison')
    .option('--json', 'log as JSON lines on standard output')
    .option('--verbose', 'log more')
    .addHelpText('after', HELP)
    .action(runUp);
}
