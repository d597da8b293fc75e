/**
 * Starts a Weft that goes on when the command that starts it has ended: in a session of its own, without a terminal,
 * its log in a bounded file of the runtime folder. Returns when it is ready or has failed, within a deadline.
 *
 * Invariant: what did not become ready in time is ended before this returns; nothing of it is left.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { errorText, fileError, silentLogger, WeftError } from '../base/index.ts';
import { isRunning, readProcessIdentity, signalProcess } from '../native/index.ts';
import { ControlClient } from './control-client.ts';
import { undoLeftovers } from './leftovers.ts';
import { openLogFile } from './log-file.ts';
import { logPath, readRunningRecord } from './process-record.ts';
import { BACKGROUND_LOG, isReadinessMessage, type ReadinessMessage } from './readiness.ts';
import { networkNamespaceInode, prepareRuntimeFolder } from './runtime-folder.ts';

export interface BackgroundOptions {
  /** Program and arguments that run Weft in the foreground: Node, its options, the script, `up`. */
  readonly command: readonly [string, ...string[]];
  /** What follows. */
  readonly args: readonly string[];
  readonly deadlineMs: number;
  /** Gives up. */
  readonly signal?: AbortSignal;
}

export interface BackgroundOutcome {
  /** `already`: one ran before. */
  readonly kind: 'started' | 'already';
  readonly pid: number;
  /** Absent: it runs in the foreground of somebody's terminal. */
  readonly log?: string;
  /** What the one that ran before was started with, when that is known. */
  readonly args?: readonly string[];
}

/** How long one that is to be given up may take for its end. */
const END_DEADLINE_MS = 10_000;
/** One that cannot be asked may be ending already, because somebody else has asked. */
const GRACE_MS = 3000;
const POLL_MS = 20;

const sleep = (ms: number) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, ms);
  });

/** The one that runs, when it answers: it may be starting, or ending. */
async function findRunning(folder: string, netns: number): Promise<BackgroundOutcome | undefined> {
  const record = readRunningRecord(folder, netns);
  try {
    const { pid } = await new ControlClient().status();
    if (record?.pid !== pid) return { kind: 'already', pid };
    return {
      kind: 'already',
      pid,
      args: record.args,
      ...(record.log === undefined ? {} : { log: record.log }),
    };
  } catch (error) {
    if (error instanceof WeftError && ['NOT_RUNNING', 'NOT_STARTED'].includes(error.code)) return undefined;
    throw error;
  }
}

type Verdict =
  | ReadinessMessage
  | { readonly kind: 'ended'; readonly how: string }
  | { readonly kind: 'stopped' | 'late' | 'aborted' };

/** The first of: a message, its end, the deadline, the user's wish to stop. */
function waitForVerdict(child: ChildProcess, { deadlineMs, signal }: BackgroundOptions): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve({ kind: 'late' }), deadlineMs);
    const settle = (verdict: Verdict) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      resolve(verdict);
    };
    const abort = () => settle({ kind: 'aborted' });
    child.on('message', (message) => {
      if (isReadinessMessage(message)) settle(message);
    });
    child.on('exit', (code, ending) => {
      // In order, so somebody else wanted that.
      if (code === 0) return settle({ kind: 'stopped' });
      return settle({ kind: 'ended', how: ending === null ? `exit code ${code}` : `signal ${ending}` });
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** One that has told of its failure undoes what it made, and ends. */
async function waitForEnd(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const late = setTimeout(() => child.kill('SIGKILL'), END_DEADLINE_MS);
  await new Promise<void>((resolve) => child.once('exit', () => resolve()));
  clearTimeout(late);
}

/** Ends what was started here: in order if it can, and in any case. */
async function endChild(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) child.kill('SIGTERM');
  await waitForEnd(child);
}

async function failureOf(
  child: ChildProcess,
  verdict: Verdict,
  log: string,
  deadlineMs: number,
): Promise<WeftError> {
  switch (verdict.kind) {
    case 'failed':
      await waitForEnd(child);
      return new WeftError(verdict.text, { code: verdict.code });
    case 'stopped':
      return new WeftError('Weft was stopped while it started', { code: 'STOPPED' });
    case 'ended':
      return new WeftError(`Weft ended while it started (${verdict.how})`, {
        code: 'START',
        hint: `its log says more: "${log}"`,
      });
    case 'aborted':
      await endChild(child);
      return new WeftError('the start was given up, and undone', { code: 'ABORTED' });
    default:
      await endChild(child);
      return new WeftError(`Weft was not ready within ${deadlineMs / 1000} s, and was ended`, {
        code: 'ETIMEDOUT',
        hint: `its log says more: "${log}"`,
      });
  }
}

/** What the child has left: one that crashed while it started, or had to be killed, could not undo what it made. */
async function undoAfter(): Promise<void> {
  try {
    await undoLeftovers(silentLogger);
  } catch {
    // Another one has started meanwhile, and has taken it over.
  }
}

/** @throws WeftError with the code of open(2) */
function openLog(path: string): number {
  try {
    return openLogFile(path);
  } catch (error) {
    throw fileError(
      `open the log "${path}"`,
      error,
      'make the folder writable, or name another one in WEFT_RUNTIME_DIR',
    );
  }
}

function spawnDetached({ args, command }: BackgroundOptions, log: string): ChildProcess {
  const [program, ...first] = command;
  const fd = openLog(log);
  try {
    return spawn(program, [...first, ...args], {
      detached: true,
      stdio: ['ignore', fd, fd, 'ipc'],
      env: { ...process.env, [BACKGROUND_LOG]: log },
    });
  } finally {
    closeSync(fd);
  }
}

/** The one that another command has begun to start. */
async function awaitOther(
  folder: string,
  netns: number,
  deadlineMs: number,
): Promise<BackgroundOutcome | undefined> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const running = await findRunning(folder, netns);
    if (running !== undefined) return running;
    const record = readRunningRecord(folder, netns);
    if (record === undefined) return undefined;
    if (performance.now() >= endMs) {
      throw new WeftError(`another Weft has begun to start (process ${record.pid}) and is not ready`, {
        code: 'ETIMEDOUT',
        hint: '"weft down" ends it',
      });
    }
    await sleep(POLL_MS);
  }
}

/**
 * Starts one, unless one runs.
 * @throws WeftError: why it could not start, or `ABORTED`, `ETIMEDOUT`; the errors of the runtime folder
 */
export async function startInBackground(options: BackgroundOptions): Promise<BackgroundOutcome> {
  const folder = prepareRuntimeFolder();
  const netns = networkNamespaceInode();
  const before = await awaitOther(folder, netns, options.deadlineMs);
  if (before !== undefined) return before;
  const log = logPath(folder, netns);
  const child = spawnDetached(options, log);
  const verdict = await waitForVerdict(child, options);
  if (verdict.kind === 'ready') {
    // From here on it has no parent.
    if (child.connected) child.disconnect();
    child.unref();
    return { kind: 'started', pid: child.pid ?? 0, log };
  }
  const failure = await failureOf(child, verdict, log, options.deadlineMs);
  await undoAfter();
  if (failure.code === 'ALREADY_RUNNING') {
    // Two commands at once: the other one was faster.
    const other = await awaitOther(folder, netns, options.deadlineMs);
    if (other !== undefined) return other;
  }
  throw failure;
}

export interface EndOptions {
  /** For an orderly end. */
  readonly deadlineMs: number;
}

export type EndOutcome = 'not-running' | 'ended' | 'killed';

async function waitUntilGone(
  identity: { pid: number; startTicks: string },
  deadlineMs: number,
): Promise<boolean> {
  const endMs = performance.now() + deadlineMs;
  while (isRunning(identity)) {
    if (performance.now() >= endMs) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Asks the running one to end. `undefined`: none answers. @throws WeftError: another user's */
async function askToEnd(): Promise<number | undefined> {
  try {
    return (await new ControlClient().stop()).pid;
  } catch (error) {
    if (error instanceof WeftError && (error.code === 'EACCES' || error.code === 'EPERM')) throw error;
    return undefined;
  }
}

/**
 * Ends the Weft of this network namespace: asked, then told by a signal, then killed.
 * @throws WeftError: it belongs to another user, or cannot be ended
 */
export async function endRunning({ deadlineMs }: EndOptions): Promise<EndOutcome> {
  const folder = prepareRuntimeFolder();
  const record = readRunningRecord(folder, networkNamespaceInode());
  const asked = await askToEnd();
  const identity = asked === undefined || asked === record?.pid ? record : readProcessIdentity(asked);
  if (identity === undefined) return asked === undefined ? 'not-running' : 'ended';
  try {
    // A signal in the middle of an orderly end would cut it short.
    if (await waitUntilGone(identity, asked === undefined ? GRACE_MS : deadlineMs)) return 'ended';
    signalProcess(identity, 'SIGTERM');
    if (await waitUntilGone(identity, deadlineMs)) return 'ended';
    signalProcess(identity, 'SIGKILL');
  } catch (error) {
    throw new WeftError(`process ${identity.pid} could not be ended: ${errorText(error)}`, {
      code: 'STOP',
      cause: error,
    });
  }
  if (await waitUntilGone(identity, deadlineMs)) return 'killed';
  throw new WeftError(`process ${identity.pid} does not end, not even killed`, { code: 'STOP' });
}
