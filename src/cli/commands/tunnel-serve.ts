/** `weft tunnel serve`: runs the tunnel of a configuration folder until a signal, with Weft's own log. */
import { Command } from 'commander';
import type { Logger } from '../../base/index.ts';
import { platformProblem } from '../../native/index.ts';
import { ConfigurationFolder, ServiceManager, TunnelService } from '../../service/index.ts';
import {
  CONFIGURATION_FOLDER,
  formatConfigIssue,
  SERVER_EXIT,
  type TunnelConfig,
} from '../../tunnel/index.ts';
import { Ending, FAILURE, stopInTime } from '../service-life.ts';
import { runServing } from '../serving.ts';
import { formatTunnelEvent } from '../tunnel-text.ts';
import { packageVersion } from '../version.ts';

interface ServeOptions {
  readonly conf: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

function readConfiguration(folder: ConfigurationFolder, logger: Logger): TunnelConfig | undefined {
  const { config, errors, warnings } = folder.readFolder();
  for (const issue of warnings) logger.warn({ ...issue }, formatConfigIssue(issue));
  for (const issue of errors) logger.error({ ...issue }, formatConfigIssue(issue));
  if (config === undefined) logger.error({}, `nothing was started: "${folder.path}" cannot be used`);
  return config;
}

/** The engine logs these itself, and no more than a log can take: peers are the reason of some. */
const LOGGED_ALREADY: ReadonlySet<string> = new Set([
  'connection',
  'path-status',
  'peer',
  'trouble',
  'failure',
]);

function followEvents(service: TunnelService, logger: Logger): void {
  service.watch((event) => {
    if (LOGGED_ALREADY.has(event.kind)) return;
    const { level, text } = formatTunnelEvent(event);
    const { atMs: _atMs, ...fields } = event;
    logger[level](fields, text);
  });
}

async function serve(options: ServeOptions, logger: Logger): Promise<number> {
  const problem = platformProblem();
  if (problem !== undefined) throw problem;
  const manager = new ServiceManager(process.env, process.pid, (text) => logger.warn({}, text));
  const folder = new ConfigurationFolder(options.conf, 'weft');
  const config = readConfiguration(folder, logger);
  if (config === undefined) return SERVER_EXIT.configuration;
  const ending = new Ending();
  let running: TunnelService | undefined;
  ending.handleSignals(logger, () => void running?.reload());
  const service = await TunnelService.start({ version: packageVersion(), folder, config, logger, manager });
  running = service;
  followEvents(service, logger);
  const { connections, tunnel } = await service.status();
  const names = connections.map(({ name }) => name).join(', ');
  logger.info(
    { commandPort: tunnel.commandPort, connections: connections.length },
    `${tunnel.interfaceName} is up, connections: ${names || 'none'}; to see it: weft tunnel status`,
  );
  for (const text of tunnel.troubles) logger.warn({}, text);
  void service.failure.then((text) => {
    logger.error({}, `the tunnel cannot go on: ${text}`);
    ending.end(FAILURE);
  });
  const code = await ending.code;
  const isStopped = await stopInTime(() => service.stop(), logger);
  manager.close();
  if (isStopped) logger.info({}, 'stopped; this machine is as it was');
  return isStopped ? code : FAILURE;
}

const HELP = `
The folder is MPT's: interface.conf, connections/conf.template and
connections/*.conf. "weft tunnel init" writes one for each end; mpt(8) commands
this server as it commands mptsrv(8).

The log goes to standard error as short lines, with --json to standard output as
one JSON object a line. SIGINT and SIGTERM stop it in order, SIGHUP reads the
configuration again: connections that did not change lose no packet.

Exit codes: 0 stopped in order, 3 the configuration cannot be used, 1 it could
not start, or an error ended it.

Examples:
  sudo weft tunnel serve --conf /etc/mpt/conf
  sudo weft tunnel serve --json | jq -r .msg
`;

export function tunnelServeCommand(): Command {
  return new Command('serve')
    .summary('run the tunnel of a configuration folder')
    .description('Runs the tunnel of a configuration folder until it is stopped.')
    .option('--conf <dir>', 'the configuration folder', CONFIGURATION_FOLDER)
    .option('--json', 'log as JSON lines on standard output')
    .option('--verbose', 'log more')
    .addHelpText('after', HELP)
    .action((options: ServeOptions) => runServing(options, serve));
}
