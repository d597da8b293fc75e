/**
 * Runs `mptsrv`: command line, configuration, then the tunnel until a signal or the menu ends it. The driver around
 * the pure parts; texts and exit codes are in mptsrv-texts.ts.
 *
 *   SIGTERM, SIGINT   take back what was made, exit code 0; a second one ends it at once
 *   SIGHUP            reads the configuration again
 */
import { join } from 'node:path';
import { errorText, printable, WeftError } from '../../base/index.ts';
import { platformProblem } from '../../native/index.ts';
import {
  ConfigurationFolder,
  DaemonLog,
  ServiceManager,
  TunnelService,
  writeLine,
} from '../../service/index.ts';
import { formatConfigIssue, INTERFACE_FILE, type TunnelConfig } from '../../tunnel/index.ts';
import { Ending, FAILURE, stopInTime } from '../service-life.ts';
import { Menu } from './mptsrv-menu.ts';
import { parseMptsrvCommandLine, type MptsrvOptions } from './mptsrv-options.ts';
import {
  CONFIGURATION_READ,
  configurationFailure,
  INTRODUCTION,
  MENU,
  splitReport,
  startFailure,
  STARTING,
} from './mptsrv-texts.ts';

const STDOUT = 1;
const STDERR = 2;
const PROGRAM = 'mptsrv';

const print = (text: string): void => writeLine(STDOUT, text);
/** What a file or the network said is shown, and never obeyed by the terminal. */
const complain = (text: string): void => writeLine(STDERR, text.split('\n').map(printable).join('\n'));

/** @returns the configuration, or the exit code */
function readConfiguration(
  folder: ConfigurationFolder,
  given: string,
  log: DaemonLog,
): TunnelConfig | number {
  print(INTRODUCTION);
  const { config, errors, warnings } = folder.readFolder();
  if (config === undefined) {
    const failure = configurationFailure(errors, join(given, INTERFACE_FILE), !folder.hasInterfaceFile());
    complain(failure.text);
    return failure.exitCode;
  }
  for (const issue of warnings) log.warn({}, formatConfigIssue(issue));
  print(CONFIGURATION_READ);
  return config;
}

/** Starts the tunnel and prints its state with what starting it printed, in the original's order. */
async function startService(
  options: Omit<Parameters<typeof TunnelService.start>[0], 'print'>,
): Promise<TunnelService> {
  print(STARTING);
  let startup: string[] | undefined = [];
  const service = await TunnelService.start({
    ...options,
    print: (text) => {
      const whole = text.endsWith('\n') ? text : `${text}\n`;
      if (startup === undefined) print(whole);
      else startup.push(whole);
    },
  });
  // The introduction has ended with the empty line that begins a report.
  const [tunnel, connections] = splitReport(service.report().replace(/^\n/, ''));
  print(tunnel + startup.join('') + connections);
  startup = undefined;
  return service;
}

async function runServer(options: MptsrvOptions, version: string, log: DaemonLog): Promise<number> {
  const manager = new ServiceManager(process.env, process.pid, (text) => log.warn({}, text));
  const folder = new ConfigurationFolder(options.folder, PROGRAM);
  const config = readConfiguration(folder, options.folder, log);
  if (typeof config === 'number') return config;
  const ending = new Ending();
  let service: TunnelService | undefined;
  ending.handleSignals(log, () => void service?.reload());
  const starting = startService({ version, folder, config, logger: log, manager });
  try {
    service = await starting;
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    const failure = startFailure(error);
    complain(failure.text);
    return failure.exitCode;
  }
  const running = service;
  void running.failure.then((text) => {
    log.error({}, `the tunnel cannot go on: ${text}`);
    ending.end(FAILURE);
  });
  if (!options.isDaemon) listenToMenu(running, ending);
  const code = await ending.code;
  const isStopped = await stopInTime(() => running.stop(), log);
  manager.close();
  return isStopped ? code : FAILURE;
}

function listenToMenu(service: TunnelService, ending: Ending): void {
  const menu = new Menu({
    quit: () => ending.end(0),
    print: () => print(service.report()),
    reload: () => service.reload(),
    show: () => print(MENU),
  });
  menu.listen(process.stdin);
}

/**
 * Runs `mptsrv ARGV` and ends the process.
 * @param argv the words after the program's name
 */
export async function runMptsrv(argv: readonly string[], version: string): Promise<never> {
  const line = parseMptsrvCommandLine(argv, version);
  if (line.kind === 'exit') {
    print(line.stdout ?? '');
    complain(line.stderr ?? '');
    return process.exit(line.exitCode);
  }
  const problem = platformProblem();
  if (problem !== undefined) {
    complain(`mptsrv: ${problem.message}\n`);
    return process.exit(FAILURE);
  }
  const log = new DaemonLog({ destination: 'stderr', debug: line.isVerbose, program: PROGRAM });
  let code = FAILURE;
  try {
    code = await runServer(line, version, log);
  } catch (err) {
    log.error(err instanceof Error ? { err } : {}, `mptsrv cannot go on: ${errorText(err)}`);
  }
  log.close();
  return process.exit(code);
}
