/**
 * ip's command line for the object mptcp: options, then one command or a batch of them. The driver around the pure
 * parts; used by the commands `ip-mptcp` and `weft mptcp`.
 */
import { enterNamespace, errnoText, namespacePath, SystemError } from '../../native/index.ts';
import { BatchLines } from './batch.ts';
import { parseIpOptions, type IpOptions } from './ip-options.ts';
import { runMonitor } from './ip-monitor.ts';
import { IpSession } from './ip-session.ts';
import { parseIpWords } from './mptcp-grammar.ts';
import { ARGUMENT_ERROR, generalExit, usageExit, type CommandFailure, type Exit } from './outcome.ts';
import type { Output } from './output.ts';
import { choosePalette, type OutputStyle } from './output-style.ts';
import { IpPrinter, type Printer } from './printer.ts';
import { openLines, readLines } from './read-lines.ts';
import { IP_USAGE } from './usage.ts';

/** How a command line ends; `undefined` when all went well. */
type End = Exit | CommandFailure | undefined;

/** As `ip -n NAME`: this process moves there for good. `undefined` stands for a name that was left out. */
export function enterNamedNamespace(name: string | undefined): Exit | undefined {
  try {
    enterNamespace(namespacePath(name ?? '(null)'));
    return undefined;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const shown = `"${name ?? '(null)'}"`;
    const why = errnoText(error.errno);
    const stderr = error.operation.startsWith('open')
      ? `Cannot open network namespace ${shown}: ${why}\n`
      : `setting the network namespace ${shown} failed: ${why}\n`;
    return { kind: 'exit', exitCode: ARGUMENT_ERROR, stderr };
  }
}

export function styleOf(options: IpOptions): OutputStyle {
  const palette =
    options.json || options.color === 'never'
      ? undefined
      : choosePalette(options.color, {
          // Asked for only here, because loading node:tty takes longer than the whole command.
          stdoutIsTerminal: process.getBuiltinModule('node:tty').isatty(1),
          colorFgBg: process.env['COLORFGBG'],
        });
  return {
    json: options.json,
    pretty: options.pretty,
    lineEnd: options.oneline ? '\\' : '\n',
    ...(palette === undefined ? {} : { palette }),
  };
}

class Runner {
  readonly #options: IpOptions;
  readonly #printer: Printer;
  readonly #session: IpSession;
  readonly #output: Output;

  constructor(options: IpOptions, printer: Printer, output: Output) {
    this.#options = options;
    this.#printer = printer;
    this.#output = output;
    const { receiveBufferBytes } = options;
    this.#session = new IpSession(
      receiveBufferBytes === undefined ? { printer } : { printer, receiveBufferBytes },
      output,
    );
  }

  /** One command. A promise only for `monitor`, so that everything else ends within this turn. */
  run(words: readonly string[]): End | Promise<End> {
    const parsed = parseIpWords(words, this.#session.linkIndexOf);
    if (parsed.kind !== 'request') return parsed;
    if (parsed.request.kind === 'monitor') {
      return runMonitor(this.#printer.events(), this.#output);
    }
    return this.#session.run(parsed.request);
  }

  async runBatch(path: string): Promise<End> {
    const fd = openLines(path);
    if (typeof fd !== 'number') {
      return generalExit(`Cannot open file "${path}" for reading: ${errnoText(fd.errno)}\n`);
    }
    const lines = new BatchLines();
    let failed = false;
    for (const line of readLines(fd, () => this.#output.flush())) {
      const step = lines.handleLine(line);
      if (step === undefined) continue;
      if (step.kind === 'error') return generalExit(step.stderr);
      const result = this.run(step.words);
      const end = result instanceof Promise ? await result : result;
      if (end === undefined) continue;
      if (end.kind === 'exit') return end;
      this.#output.error(`${end.stderr}Command failed ${path}:${step.lineNumber}\n`);
      failed = true;
      if (!this.#options.force) break;
    }
    const warning = lines.handleEnd();
    if (warning !== undefined && !(failed && !this.#options.force)) this.#output.error(warning);
    return failed ? generalExit('') : undefined;
  }

  close(): void {
    this.#session.close();
  }
}

/** Prints how it ended and gives the exit code. */
export function report(end: End, output: Output): number {
  if (end === undefined) {
    output.flush();
    return 0;
  }
  if (end.kind === 'exit' && end.stdout !== undefined) output.write(end.stdout);
  output.error(end.stderr ?? '');
  return end.exitCode;
}

export interface IpFace {
  /** Put before the words: `mptcp` where the command's own name says it. */
  readonly object?: readonly string[];
  /** What prints instead of ip's own output. */
  readonly printer?: Printer;
}

/**
 * Runs `ip ARGV`.
 * @returns the exit code; a promise only when it runs on (monitor, batch)
 */
export function runIp(argv: readonly string[], output: Output, face: IpFace = {}): number | Promise<number> {
  const { namespaces, outcome } = parseIpOptions(argv);
  for (const name of namespaces) {
    const exit = enterNamedNamespace(name);
    if (exit !== undefined) return report(exit, output);
  }
  if (outcome.kind === 'exit') return report(outcome, output);
  const { options } = outcome;
  const words = [...(face.object ?? []), ...outcome.words];
  const runner = new Runner(
    options,
    face.printer ?? new IpPrinter(styleOf(options), options.timestamp),
    output,
  );
  const finish = (end: End) => {
    runner.close();
    return report(end, output);
  };
  if (options.batch !== undefined) return runner.runBatch(options.batch).then(finish);
  if (words.length === 0) return finish(usageExit(IP_USAGE));
  const end = runner.run(words);
  return end instanceof Promise ? end.then(finish) : finish(end);
}
