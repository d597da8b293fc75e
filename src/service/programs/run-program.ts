/**
 * Runs a program with MPTCP: finds it, looks at what it is, and becomes it. The decisions are in program-kind.ts and
 * run-plan.ts.
 */
import { AF_INET, WeftError } from '../../base/index.ts';
import { openStreamSocket } from '../../mptcp/index.ts';
import { closeFd, replaceProcess, SystemError } from '../../native/index.ts';
import { findRegister, findWrapLibrary } from './installed.ts';
import { findProgram, readProgram } from './program-file.ts';
import { judgeProgram } from './program-kind.ts';
import { needsProxy, planRun, type Via } from './run-plan.ts';

export interface RunOptions {
  readonly via?: Via | undefined;
  /** Each socket that becomes MPTCP is told on the program's standard error. */
  readonly debug?: boolean | undefined;
  /** Default: that of this process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** A program that is ready to be run. */
export interface PreparedRun {
  readonly path: string;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** One line that its user should read. */
  readonly notice?: string;
}

/** As shells and env(1) end for a program that cannot be run. */
export const NOT_FOUND_EXIT = 127;
export const NOT_EXECUTABLE_EXIT = 126;

/** A program cannot be run. `exitCode` is what a shell would end with. */
export class RunError extends WeftError {
  readonly exitCode: number;

  constructor(message: string, code: string, exitCode: number, hint?: string) {
    super(message, hint === undefined ? { code } : { code, hint });
    this.exitCode = exitCode;
  }
}

function kernelProblem(): string | undefined {
  try {
    const { fd, fallbackReason } = openStreamSocket(AF_INET);
    closeFd(fd);
    return fallbackReason;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Everything but running it.
 * @throws RunError `ENOENT`, `EACCES`, `NO_PROXY`
 */
export async function prepareRun(command: readonly string[], options: RunOptions = {}): Promise<PreparedRun> {
  const { via, debug = false, environment = process.env } = options;
  const [name = ''] = command;
  const found = findProgram(name, environment['PATH']);
  if ('problem' in found) {
    const [code, exitCode] =
      found.problem === 'not found'
        ? (['ENOENT', NOT_FOUND_EXIT] as const)
        : (['EACCES', NOT_EXECUTABLE_EXIT] as const);
    throw new RunError(`run "${name}": ${found.problem} (${code})`, code, exitCode);
  }
  const library = findWrapLibrary();
  const request = {
    name,
    verdict: judgeProgram(readProgram(found.path, environment['PATH']), library),
    mechanisms: { registerPath: findRegister(), libraryPath: library?.path },
    via,
    environment: debug ? { ...environment, MPTCPWRAP_DEBUG: '1' } : environment,
    kernelProblem: kernelProblem(),
  };
  // Loaded only then: most programs are reached without it.
  const proxyUrl = needsProxy(request)
    ? await (await import('./running-proxy.ts')).findProxyUrl()
    : undefined;
  if (via === 'proxy' && proxyUrl === undefined) {
    throw new RunError(
      'no Weft runs here whose proxy could carry it',
      'NO_PROXY',
      1,
      'start it with "weft up"',
    );
  }
  const plan = planRun({ ...request, proxyUrl });
  return { path: found.path, argv: command, ...plan };
}

const SHELL = '/bin/sh';

/**
 * Becomes the program.
 * @throws RunError what the kernel refused with
 */
export function becomeProgram({ path, argv, environment }: PreparedRun): never {
  try {
    return replaceProcess(path, argv, environment);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    // As execvp(3): a text without `#!` is for the shell.
    if (error.code === 'ENOEXEC') return replaceProcess(SHELL, [SHELL, path, ...argv.slice(1)], environment);
    const exitCode = error.code === 'ENOENT' ? NOT_FOUND_EXIT : NOT_EXECUTABLE_EXIT;
    throw new RunError(error.message, error.code, exitCode);
  }
}
