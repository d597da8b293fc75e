/**
 * Which process a number names: the number with the moment that its process began, because numbers are given again.
 * What is recorded so can be found later, by another program, and ended without hitting a stranger.
 *
 * References: proc(5), /proc/PID/stat, fields 3 (state) and 22 (starttime, in clock ticks since the boot).
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since the boot; as text, because it may be larger than a number holds. */
  readonly startTicks: string;
}

/** Of the fields behind the program's name, which may hold anything, brackets too. */
const STATE = 0;
const START_TICKS = 19;

/** Pure. `undefined`: not such a text, or of a process that has ended and waits for its parent. */
export function parseProcessStat(pid: number, stat: string): ProcessIdentity | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTicks = fields[START_TICKS];
  if (startTicks === undefined || !/^\d+$/.test(startTicks)) return undefined;
  return fields[STATE] === 'Z' || fields[STATE] === 'X' ? undefined : { pid, startTicks };
}

/** Where there is no /proc (macOS): the moment of the start, in seconds, as ps(1) tells it. */
function askPs(pid: number): ProcessIdentity | undefined {
  const { status, stdout } = spawnSync('/bin/ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
    encoding: 'utf8',
    env: { LC_ALL: 'C', TZ: 'UTC' },
  });
  const [, state = '', started = ''] = /^(\S+)\s+(.+)$/.exec(stdout?.trim() ?? '') ?? [];
  const startMs = Date.parse(`${started} UTC`);
  if (status !== 0 || state.startsWith('Z') || Number.isNaN(startMs)) return undefined;
  return { pid, startTicks: String(startMs / 1000) };
}

/** `undefined`: there is no such process, or it has ended. */
export function readProcessIdentity(pid: number): ProcessIdentity | undefined {
  if (process.platform !== 'linux') return askPs(pid);
  try {
    return parseProcessStat(pid, readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Whether that very process still runs. */
export function isRunning({ pid, startTicks }: ProcessIdentity): boolean {
  return readProcessIdentity(pid)?.startTicks === startTicks;
}

/**
 * Sends a signal to that very process.
 * @returns `false`: it has ended before
 * @throws the error of kill(2): EPERM
 */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
