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
import { parseMptcpdCommandLine, type MptcpdProgram } from './mptcpd-options.ts';
import { Output } from './output.ts';

const FAILURE = 1;

/** How long an orderly end may take before the process ends without it. */
const STOP_DEADLINE_MS = 10_000;

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

/** Resolves with the exit code, when the daemon is to end. */
function waitForEnd(service: DaemonService, log: DaemonLog): Promise<number> {
  return new Promise((resolve) => {
    let ending = false;
    const end = (code: number) => {
      ending = true;
      resolve(code);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (ending) {
          log.warn({}, `second ${signal}: ending at once; the next start takes back what is left`);
          process.exit(FAILURE);
        }
        log.debug({}, `${signal}: stopping`);
        end(0);
      });
    }
    process.on('SIGHUP', () => void service.reload());
    process.on('uncaughtException', (err) => {
      log.error({ err }, 'mptcpd has met an error that it did not foresee, and stops');
      end(FAILURE);
    });
  });
}

/** @returns whether everything could be stopped in time */
async function stopInTime(service: DaemonService, log: DaemonLog): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), STOP_DEADLINE_MS);
  });
  try {
    const outcome = await Promise.race([service.stop(), late]);
    if (outcome !== 'late') return true;
    log.error(
      {},
      `stopping took longer than ${STOP_DEADLINE_MS / 1000} s; the next start takes back what is left`,
    );
  } catch (err) {
    log.error({ err }, 'not everything could be stopped; the next start takes back what is left');
  } finally {
    clearTimeout(timer);
  }
  return false;
}

async function runDaemon(commandLine: CommandLineOptions, version: string): Promise<number> {
  const problem = platformProblem();
  if (problem !== undefined) {
    complain([problem.message], {});
    return FAILURE;
  }
  const config = configPath(process.env);
  const options = readConfiguration(config, commandLine);
  if (options === undefined) return FAILURE;
  const { debug, log: destination } = options;
  const log = new DaemonLog({ destination, debug, program: PROGRAM });
  const manager = new ServiceManager(process.env, process.pid, (text) => log.warn({}, text));
  const service = new DaemonService({ version, config, commandLine, options, log, manager });
  const ended = waitForEnd(service, log);
  log.debug({ config: config.path }, 'configuration read');
  const started = service.start().then(
    () => undefined,
    (error: unknown) => {
      reportStartFailure(log, error);
      return FAILURE;
    },
  );
  const code = (await Promise.race([started, ended])) ?? (await ended);
  const stopped = await stopInTime(service, log);
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
  return process.exit(await runDaemon(line.options, program.weftVersion));
}

/** What the user typed is shown, and never obeyed by the terminal. */
const printableLines = (text: string) => text.split('\n').map(printable).join('\n');
