/**
 * Runs mptcpd(8): command line, configuration, then the daemon until a signal. The driver around the pure parts; used
 * by the programs `mptcpd` and `weft daemon`.
 *
 *   SIGTERM, SIGINT   take back what was made, exit code 0; a second one ends it at once
 *   SIGHUP            reads the configuration again
 *
 * Exit codes: 0, 1 (it could not start, or an error ended it), 64 (a mistake in the command line).
 */
import { errorText, printable } from '../../base/index.ts';
import { platformProblem } from '../../native/index.ts';
import { StartError } from '../../pathmanager/index.ts';
import {
  ConfigError,
  configPath,
  DaemonLog,
  DaemonService,
  loadOptions,
  ServiceManager,
  type CommandLineOptions,
  type ConfigPath,
  type DaemonOptions,
} from '../../service/index.ts';
import { checkReach } from '../../web/index.ts';
import { Ending, FAILURE, stopInTime } from '../service-life.ts';
import { WebLife } from '../web-life.ts';
import type { WebWish } from '../web-options.ts';
import { parseMptcpdCommandLine, type MptcpdProgram } from './mptcpd-options.ts';
import { Output } from './output.ts';

/** The log's name for this program, whichever way it was started. */
const PROGRAM = 'mptcpd';

/** What is wrong before there is a log to say it to: to the log that the command line names, or to standard error. */
function complain(lines: readonly string[], { debug = false, log = 'stderr' }: CommandLineOptions): void {
  const destination = log === 'null' ? 'stderr' : log;
  const logger = new DaemonLog({ destination, debug, program: PROGRAM });
  for (const line of lines) logger.error({}, line);
  logger.close();
}

function readConfiguration(config: ConfigPath, commandLine: CommandLineOptions): DaemonOptions | undefined {
  try {
    return loadOptions(config, commandLine);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    complain(error.lines, commandLine);
    return undefined;
  }
}

function reportStartFailure(log: DaemonLog, error: unknown): void {
  if (error instanceof StartError) for (const line of error.lines) log.error({}, line);
  else log.error(error instanceof Error ? { err: error } : {}, `mptcpd cannot start: ${errorText(error)}`);
}

/** The page comes when the daemon is ready. */
async function startBoth(service: DaemonService, web: WebLife): Promise<void> {
  await service.start();
  web.attach(service.observation);
  await web.start();
}

function findReachProblem(web: WebWish | undefined): string | undefined {
  try {
    if (web !== undefined) checkReach(web);
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}

async function runDaemon(
  commandLine: CommandLineOptions,
  wish: WebWish | undefined,
  version: string,
): Promise<number> {
  const problem = platformProblem()?.message ?? findReachProblem(wish);
  if (problem !== undefined) {
    complain([problem], {});
    return FAILURE;
  }
  const config = configPath(process.env);
  const options = readConfiguration(config, commandLine);
  if (options === undefined) return FAILURE;
  const { debug, log: destination } = options;
  const log = new DaemonLog({ destination, debug, program: PROGRAM });
  const manager = new ServiceManager(process.env, process.pid, (text) => log.warn({}, text));
  const service = new DaemonService({ version, config, commandLine, options, log, manager });
  const onTerminal = destination === 'stderr' && process.stderr.isTTY;
  const web = new WebLife({ wish, program: 'daemon', logger: log, onTerminal });
  const ending = new Ending();
  ending.handleSignals(log, () => void service.reload());
  log.debug({ config: config.path }, 'configuration read');
  const started = startBoth(service, web).then(
    () => undefined,
    (error: unknown) => {
      reportStartFailure(log, error);
      return FAILURE;
    },
  );
  const code = (await Promise.race([started, ending.code])) ?? (await ending.code);
  const stopped = await stopInTime(() => Promise.all([web.stop(), service.stop()]).then(() => {}), log);
  manager.close();
  log.close();
  return stopped ? code : FAILURE;
}

/**
 * Runs `mptcpd ARGV` and ends the process.
 * @param argv the words after the program's name
 */
export async function runMptcpd(argv: readonly string[], program: MptcpdProgram): Promise<never> {
  const output = new Output();
  const line = parseMptcpdCommandLine(argv, program);
  if (line.kind === 'exit') {
    output.write(line.stdout ?? '');
    output.error(printableLines(line.stderr ?? ''));
    return process.exit(line.exitCode);
  }
  process.title = PROGRAM;
  return process.exit(await runDaemon(line.options, line.web, program.weftVersion));
}

/** What the user typed is shown, and never obeyed by the terminal. */
const printableLines = (text: string) => text.split('\n').map(printable).join('\n');
