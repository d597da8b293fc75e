/**
 * `weft lab`: an internet in a box, and Weft in it. The command runs itself again inside a sandbox (lab/sandbox.ts);
 * out here only the sandbox's process is waited for and the terminal put right.
 */
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { WeftError } from '../../base/index.ts';

interface LabOptions {
  /** Mbit/s */
  readonly rate: readonly [number, number];
  readonly delay: readonly [number, number];
  readonly seconds: number;
  readonly cut: boolean;
  readonly json?: boolean;
  readonly plain?: boolean;
}

/** One number for both uplinks or two with a comma between. */
function parsePair(least: number, most: number): (text: string) => readonly [number, number] {
  return (text) => {
    const numbers = text.split(',').map(Number);
    const [first = Number.NaN, second = first] = numbers;
    if (numbers.length > 2 || ![first, second].every((value) => value >= least && value <= most)) {
      throw new InvalidArgumentError(
        `It is one number from ${least} to ${most} for both uplinks, or two as in "100,20".`,
      );
    }
    return [first, second];
  };
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 1 && seconds <= 600)) throw new InvalidArgumentError('It is a number from 1 to 600.');
  return seconds;
}

const HELP = `
The lab: a client with two uplinks (wifi0, lte0), a router behind each with its
own rate and delay, a server behind both. All of it in private namespaces, so
it needs neither root nor network, and ends without a trace.

  client  wifi0 ~~~ router0 ── server (203.0.113.10, 2001:db8:9::10)
          lte0  ~~~ router1 ──

The command measures one path with plain TCP, starts "weft up" in the client,
downloads through its proxy over both, cuts the first uplink, brings it back,
and prints what it found.

Exit codes: 0 all as promised, 1 the download failed, or both paths together
were hardly faster than one.

Examples:
  weft lab                              both uplinks 100 Mbit/s, 10 ms
  weft lab --rate 200,50 --delay 5,40   two different ones
  weft lab shell client                 a shell in the client; of the lab that
                                        runs, or of one built for it
  weft lab shell server -- ip -br addr  one command in the server
`;

/** In the sandbox: the exit code of `work`; signals, and a reader of our output who leaves, are an orderly end. */
async function runInside(work: (signal: AbortSignal) => Promise<number>, json = false): Promise<never> {
  const stop = new AbortController();
  let signalNumber = 0;
  const { constants } = await import('node:os');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      signalNumber = constants.signals[signal];
      stop.abort();
    });
  }
  process.stdout.on('error', () => {
    signalNumber = constants.signals.SIGPIPE;
    stop.abort();
  });
  const { failureJson, reportFailure, writeOutput } = await import('../command-result.ts');
  let code = 1;
  try {
    code = await work(stop.signal);
  } catch (error) {
    if (signalNumber === 0) {
      if (json) writeOutput(failureJson(error));
      reportFailure(error);
    }
  }
  return process.exit(signalNumber === 0 ? code : 128 + signalNumber);
}

/** Out here: runs these same words again in a sandbox. */
async function runOutside(): Promise<void> {
  const { recordRunningLab, requireSandbox, runInSandbox, SHOW_CURSOR } = await import('../../lab/index.ts');
  const sandbox = requireSandbox();
  let forget: (() => void) | undefined;
  const [, program = '', ...words] = process.argv;
  try {
    process.exitCode = await runInSandbox(sandbox, [process.execPath, program, ...words], {
      onStart: (holderPid) => {
        forget = recordRunningLab(holderPid);
      },
    });
  } finally {
    forget?.();
    // What is inside does this itself, but not after a kill -9.
    if (process.stdout.isTTY) process.stdout.write(SHOW_CURSOR);
  }
}

async function runLab(options: LabOptions): Promise<void> {
  const { enterSandbox, isInsideSandbox } = await import('../../lab/index.ts');
  if (!isInsideSandbox()) return runOutside();
  enterSandbox();
  return runInside(async (signal) => {
    const { DemoReporter, judgeSummary, runDemo } = await import('../../lab/index.ts');
    const rateBps = [options.rate[0] * 1e6, options.rate[1] * 1e6] as const;
    const reporter = new DemoReporter({
      json: options.json === true,
      plain: options.plain === true,
      stream: process.stdout,
      env: process.env,
    });
    try {
      const summary = await runDemo({
        rateBps,
        delayMs: options.delay,
        seconds: options.seconds,
        cut: options.cut,
        weft: [process.execPath, process.argv[1] ?? ''],
        signal,
        onChange: (state) => reporter.show(state),
      });
      const verdict = judgeSummary(summary, rateBps);
      reporter.finish(summary, verdict);
      return verdict === undefined ? 0 : 1;
    } finally {
      reporter.close();
    }
  }, options.json);
}

async function runShell(
  node: string,
  command: readonly string[],
  { rate, delay }: LabOptions,
): Promise<void> {
  const labLayer = await import('../../lab/index.ts');
  const argv = command.length > 0 ? command : [process.env['SHELL'] ?? '/bin/sh'];
  if (!labLayer.isInsideSandbox()) {
    const holder = labLayer.findRunningLab();
    if (holder === undefined) return runOutside();
    const { spawnSync } = await import('node:child_process');
    const [program = '', ...args] = labLayer.enterCommand(holder, node, argv);
    const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
    if (error !== undefined) {
      throw new WeftError(`the running lab could not be entered: ${error.message}`, { code: 'NO_LAB' });
    }
    process.exitCode = status ?? 1;
    return undefined;
  }
  labLayer.enterSandbox();
  return runInside(async (signal) => {
    const lab = await labLayer.Lab.twoUplinks({
      rateBps: [rate[0] * 1e6, rate[1] * 1e6],
      delayMs: delay,
    });
    try {
      const child = lab.node(node).spawn(argv, { stdio: 'inherit' });
      signal.addEventListener('abort', () => {
        // A shell ends at the first and ignores the second; programs that read their configuration at the first end at the second.
        child.kill('SIGHUP');
        child.kill('SIGTERM');
      });
      return await new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code) => resolve(code ?? 1));
      });
    } finally {
      await lab.close();
    }
  });
}

export function labCommand(): Command {
  const shell = new Command('shell')
    .summary('open a shell in a node of the lab')
    .description(
      'Opens a shell (or runs a command) in a node: of the lab that this user runs already, or of one that is built for it (with --rate and --delay of "weft lab") and removed afterwards.',
    )
    .addArgument(new Argument('<node>', 'where').choices(['client', 'router0', 'router1', 'server', 'air']))
    .argument('[command...]', 'after "--": what to run instead of $SHELL')
    .action((node: string, words: readonly string[], _options: unknown, command: Command) =>
      runShell(node, words, command.optsWithGlobals<LabOptions>()),
    );
  return new Command('lab')
    .summary('an internet in a box: see what Weft does, without root or a second uplink')
    .description(
      'Builds an internet in private network namespaces, runs "weft up" in its client, and shows a download over two uplinks, one of which is cut and brought back.',
    )
    .addOption(
      new Option('--rate <mbit>', 'Mbit/s of each uplink, each way; two values as in "100,20"')
        .argParser(parsePair(1, 10_000))
        .default([100, 100], '100'),
    )
    .addOption(
      new Option('--delay <ms>', 'delay of each uplink, one way; two values as in "5,40"')
        .argParser(parsePair(0, 1000))
        .default([10, 10], '10'),
    )
    .option('--seconds <n>', 'length of each part', parseSeconds, 6)
    .option('--no-cut', 'do not cut the first uplink')
    .option('--plain', 'lines instead of a picture, as without a terminal')
    .option('--json', 'one JSON object a line: samples, and at the end the summary')
    .addHelpText('after', HELP)
    .action(runLab)
    .addCommand(shell);
}

export function addLabCommand(program: Command): void {
  program.addCommand(labCommand());
}
