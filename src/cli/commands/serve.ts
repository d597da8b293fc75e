/** `weft serve`: runs the far end for Wefts elsewhere until a signal. */
import { Command, InvalidArgumentError } from 'commander';
import { canonicalIp, networkOf, type Logger, type Prefix } from '../../base/index.ts';
import { platformProblem } from '../../native/index.ts';
import { WEFT_SERVE_PORT } from '../../proxy/index.ts';
import { FarService, ServiceManager } from '../../service/index.ts';
import { addListen, parseListen, type ListenAddress } from '../listen-address.ts';
import { Ending, FAILURE, stopInTime } from '../service-life.ts';
import { runServing } from '../serving.ts';
import { packageVersion } from '../version.ts';

interface ServeOptions {
  readonly listen?: readonly ListenAddress[];
  readonly tokenFile?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
  readonly allow?: readonly Prefix[];
  readonly multipath: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** `::` takes IPv4 too; where there is no IPv6 the listener falls back to IPv4 (mptcp/server.ts). */
const EVERYWHERE: readonly ListenAddress[] = [{ address: '::', port: WEFT_SERVE_PORT }];

function collectListen(value: string, previous: readonly ListenAddress[] = []): readonly ListenAddress[] {
  // Only a port: every address, because whom this is for is elsewhere.
  const parsed = /^\d+$/.test(value) ? parseListen(`[::]:${value}`) : parseListen(value);
  if (typeof parsed === 'string') throw new InvalidArgumentError(`${parsed}.`);
  return addListen(previous, parsed);
}

function collectPrefix(value: string, previous: readonly Prefix[] = []): readonly Prefix[] {
  const [text = '', lengthText] = value.split('/');
  const address = canonicalIp(text);
  const bits = address?.includes(':') === true ? 128 : 32;
  const length = lengthText === undefined ? bits : /^\d{1,3}$/.test(lengthText) ? Number(lengthText) : -1;
  if (address === undefined || length < 0 || length > bits) {
    throw new InvalidArgumentError('It is a prefix such as 192.168.1.0/24 or fd00::/8.');
  }
  return [...previous, { address: networkOf(address, length), length }];
}

async function serve(options: ServeOptions, logger: Logger): Promise<number> {
  const problem = platformProblem();
  if (problem !== undefined) throw problem;
  const { listen = EVERYWHERE, allow = [], multipath, tokenFile, tlsCert, tlsKey, clientCa } = options;
  const manager = new ServiceManager(process.env, process.pid, (text) => logger.warn({}, text));
  const ending = new Ending();
  let running: FarService | undefined;
  ending.handleSignals(logger, () => running?.reload());
  logger.info({}, `Weft ${packageVersion()}`);
  const service = await FarService.start({
    listen,
    allow,
    multipath,
    logger,
    manager,
    isTerminal: process.stderr.isTTY && options.json !== true,
    files: {
      ...(tokenFile === undefined ? {} : { tokenFile }),
      ...(tlsCert === undefined ? {} : { certFile: tlsCert }),
      ...(tlsKey === undefined ? {} : { keyFile: tlsKey }),
      ...(clientCa === undefined ? {} : { clientCaFile: clientCa }),
    },
  });
  running = service;
  // Not into the log: that is kept.
  if (options.json !== true) for (const line of service.advice()) process.stderr.write(`${line}\n`);
  const code = await ending.code;
  const isStopped = await stopInTime(() => service.stop(), logger);
  manager.close();
  if (isStopped) logger.info({}, 'stopped');
  return isStopped ? code : FAILURE;
}

const HELP = `
Run it on a machine with a good line (a rented server), so that Wefts elsewhere
lead through it and use all their paths towards servers without MPTCP:
"weft up --upstream weft://HOST:${WEFT_SERVE_PORT} --token-file FILE".

Whoever knows a token of the token file may use it. At the first start the file
is made, with one token: /etc/weft/serve.token for root, else
~/.config/weft/serve.token. One token a line, with a name before it or not.
SIGHUP reads tokens and certificates again: tunnels go on, but not those of a
token that is gone.

With --tls-cert the far end shows a certificate, and clients prove themselves by
one of their own (--client-ca), or by a token as the proxy's password, so that
every program that knows https:// proxies can use it.

Clients reach the internet, and not this machine itself, nor private networks,
unless --allow opens them.

Examples:
  sudo weft serve
  sudo weft serve --listen 203.0.113.10:443 --allow 192.168.7.0/24
`;

export function serveCommand(): Command {
  return new Command('serve')
    .summary('be the far end for Wefts elsewhere (on a server)')
    .description('Runs the far end for Wefts elsewhere: authenticated tunnels over MPTCP to the internet.')
    .option(
      '--listen <address:port>',
      `where to listen; may be given more than once (default: every address, port ${WEFT_SERVE_PORT})`,
      collectListen,
    )
    .option('--token-file <file>', 'who may use it: the tokens; made when it is not there')
    .option('--tls-cert <file>', 'a certificate (PEM, with its chain) to be known by')
    .option('--tls-key <file>', 'its key')
    .option('--client-ca <file>', 'who signs the certificates of clients')
    .option(
      '--allow <prefix>',
      'let clients reach these addresses too; may be given more than once',
      collectPrefix,
    )
    .option('--no-multipath', 'plain TCP only')
    .option('--json', 'log as JSON lines on standard output')
    .option('--verbose', 'log more')
    .addHelpText('after', HELP)
    .action((options: ServeOptions) => runServing(options, serve));
}
