/**
 * ip's command line for the object mptcp: options, then one command or a batch of them. The driver around the pure
 * parts; used by the commands `ip-mptcp` and `weft mptcp`.
 */
import { enterNamespace, errnoText, namespacePath, SystemError } from '../../native/index.ts';
import { IpBatch, type End } from './ip-batch.ts';
import { parseIpOptions, type IpOptions } from './ip-options.ts';
import { runMonitor } from './ip-monitor.ts';
import { IpSession } from './ip-session.ts';
import { parseIpWords } from './mptcp-grammar.ts';
import { ARGUMENT_ERROR, usageExit, type Exit } from './outcome.ts';
import type { Output } from './output.ts';
import { choosePalette, type OutputStyle } from './output-style.ts';
import { IpPrinter, type Printer } from './printer.ts';
import { IP_USAGE } from './usage.ts';

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
  return runOptions(outcome.options, [...(face.object ?? []), ...outcome.words], output, face.printer);
}

function runOptions(
  options: IpOptions,
  words: readonly string[],
  output: Output,
  ownPrinter: Printer | undefined,
): number | Promise<number> {
  const printer = ownPrinter ?? new IpPrinter(styleOf(options), options.timestamp);
  const { batch, force, receiveBufferBytes } = options;
  const session = new IpSession(
    receiveBufferBytes === undefined ? { printer } : { printer, receiveBufferBytes },
    output,
  );
  const finish = (end: End) => {
    session.close();
    return report(end, output);
  };
  const monitor = () => runMonitor(printer.events(), output, receiveBufferBytes);
  if (batch !== undefined) {
    return new IpBatch(session, output, { path: batch, force, runMonitor: monitor }).run().then(finish);
  }
  if (words.length === 0) return finish(usageExit(IP_USAGE));
  const parsed = parseIpWords(words, session.linkIndexOf);
  if (parsed.kind !== 'request') return finish(parsed);
  const { request } = parsed;
  return request.kind === 'monitor' ? monitor().then(finish) : finish(session.run(request));
}
