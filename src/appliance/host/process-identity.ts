/**
 * Finds and ends processes that an earlier Weft started: by a UUID in their arguments, which was written down before
 * they were started. Never by a name, and never by a number alone, because numbers are used again.
 *
 * Reference: proc(5), /proc/PID/stat and /proc/PID/cmdline.
 */
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since boot, as the kernel says it. */
  readonly startTime: string;
}

const STATE_FIELD = 3;
const START_TIME_FIELD = 22;

/** Start time and state out of the text of /proc/PID/stat (pure). A program's name may hold spaces and brackets. */
export function parseProcessStat(
  text: string,
): { readonly state: string; readonly startTime: string } | undefined {
  const rest = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = rest[0];
  const startTime = rest[START_TIME_FIELD - STATE_FIELD];
  if (state === undefined || startTime === undefined || !/^\d+$/.test(startTime)) return undefined;
  return { state, startTime };
}

function readStat(pid: number) {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

function hasArgument(pid: number, argument: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(argument);
  } catch {
    return false;
  }
}

/** Processes that have `argument` among their arguments, whole. */
export function findProcesses(argument: string): ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const startTime = readStat(pid)?.startTime;
    if (startTime !== undefined && hasArgument(pid, argument)) found.push({ pid, startTime });
  }
  return found;
}

/** Whether it still runs; a zombie does not. */
export function isProcessAlive({ pid, startTime }: ProcessIdentity): boolean {
  const stat = readStat(pid);
  return stat !== undefined && stat.startTime === startTime && stat.state !== 'Z' && stat.state !== 'X';
}

const POLL_MS = 10;

/**
 * Ends it with SIGKILL and waits until it has ended. Harmless when it has already.
 * @returns `false` when it still runs after `timeoutMs`
 */
export async function endProcess(identity: ProcessIdentity, timeoutMs = 5000): Promise<boolean> {
  const endMs = performance.now() + timeoutMs;
  while (isProcessAlive(identity)) {
    if (performance.now() > endMs) return false;
    try {
      process.kill(identity.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
  return true;
}
