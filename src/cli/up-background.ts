/**
 * `weft up --background`: the command that starts a Weft which goes on without it, and tells how that went. What it
 * starts is `weft up` with the same options (up-run.ts).
 */
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WeftError } from '../base/index.ts';
import {
  askWebReports,
  ControlClient,
  startInBackground,
  type BackgroundOutcome,
  type StatusReport,
  type WebReport,
} from '../service/index.ts';
import { reportFailure, reportNotice, writeFailureJson, writeOutput } from './command-result.ts';
import { greeting, pageLine } from './greeting.ts';
import { withoutSecrets, type UpOptions } from './up-options.ts';

/** Far above what a kernel needs. */
const NATIVE_DEADLINE_MS = 30_000;
/** A virtual machine under plain emulation on a slow machine, after a try with hardware. */
const APPLIANCE_DEADLINE_MS = 120_000;
const INTERRUPTED = 130;

/** How this very Weft runs `weft`, whichever of its programs this is: they stand beside one another. */
export function weftProgram(): [string, ...string[]] {
  const script = realpathSync(process.argv[1] ?? '');
  return [process.execPath, ...process.execArgv, join(dirname(script), 'weft.js')];
}

/** `true` while the start may be given up by Ctrl-C. */
function interruptible(): { readonly signal: AbortSignal; readonly done: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, abort);
  return {
    signal: controller.signal,
    done: () => {
      for (const name of signals) process.off(name, abort);
    },
  };
}

/**
 * Starts `weft up WORDS` unless one runs.
 * @throws WeftError why it could not start; `ABORTED` after Ctrl-C
 */
export async function startUp(
  options: Pick<UpOptions, 'backend'>,
  words: readonly string[],
): Promise<BackgroundOutcome> {
  const { done, signal } = interruptible();
  try {
    return await startInBackground({
      command: [...weftProgram(), 'up'],
      args: words,
      deadlineMs: options.backend === 'native' ? NATIVE_DEADLINE_MS : APPLIANCE_DEADLINE_MS,
      signal,
    });
  } finally {
    done();
  }
}

/** They change what is told, not what is done. */
const TELLING = new Set(['--json', '--verbose']);

const deeds = (words: readonly string[]) => JSON.stringify(words.filter((word) => !TELLING.has(word)));

/** @throws WeftError `ALREADY_RUNNING`: one ran before, with other options than those that are wanted */
export function checkSameOptions(outcome: BackgroundOutcome, words: readonly string[]): void {
  const { args, kind, pid } = outcome;
  if (kind !== 'already' || args === undefined || deeds(args) === deeds(withoutSecrets(words))) return;
  const options = args.length === 0 ? 'without options' : `with ${args.join(' ')}`;
  throw new WeftError(`Weft is already running here (process ${pid}), ${options}`, {
    code: 'ALREADY_RUNNING',
    hint: '"weft down" stops it; then start it as you want it',
  });
}

/** It comes when Weft is ready, so who asks waits for it. */
async function findPage(): Promise<WebReport | undefined> {
  try {
    return (await askWebReports())[0];
  } catch {
    // An older one runs here, or it ends: the rest is told all the same.
    return undefined;
  }
}

function tell(outcome: BackgroundOutcome, report: StatusReport, page: WebReport | undefined): string {
  const { kind, log, pid } = outcome;
  const already = `Weft is already running here, process ${pid}.`;
  const started = `Weft runs in the background, process ${pid}; its log is ${log ?? 'nowhere'}.`;
  const all = greeting(report, { background: true });
  if (page !== undefined) all.splice(-1, 0, pageLine(page, process.stdout.isTTY));
  const lines = all.map(({ message }) => message);
  return `${[kind === 'already' ? already : started, ...lines].join('\n')}\n`;
}

function asJson({ kind, log, pid }: BackgroundOutcome, report: StatusReport): string {
  const { backend, mode, proxy, reason } = report;
  const facts = {
    started: kind === 'started',
    alreadyRunning: kind === 'already',
    pid,
    log,
    mode,
    reason,
    backend,
  };
  return `${JSON.stringify({ ...facts, proxy: proxy.addresses })}\n`;
}

export async function runUpInBackground(options: UpOptions, words: readonly string[]): Promise<void> {
  const { json = false, verbose } = options;
  try {
    const outcome = await startUp(options, words);
    checkSameOptions(outcome, words);
    const report = await new ControlClient().status();
    writeOutput(json ? asJson(outcome, report) : tell(outcome, report, await findPage()));
    if (!json && report.mode !== 'multipath') reportNotice(`${report.mode}: ${report.reason}`);
  } catch (error) {
    if (json) writeFailureJson(error);
    reportFailure(error, verbose);
    process.exitCode = error instanceof WeftError && error.code === 'ABORTED' ? INTERRUPTED : 1;
  }
}
