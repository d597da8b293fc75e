/**
 * Finds and ends processes that an earlier Weft started: by a UUID in their arguments, which was written down before
 * they were started. Never by a name, and never by a number alone.
 *
 * Reference: proc(5), /proc/PID/cmdline.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { isRunning, readProcessIdentity, signalProcess, type ProcessIdentity } from '../../native/index.ts';

function hasArgument(pid: number, argument: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(argument);
  } catch {
    return false;
  }
}

/** Processes that have `argument` among their arguments, whole. */
export function findProcesses(argument: string): ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      // In this order: what is found later than its identity is still that process, or none.
      const identity = readProcessIdentity(Number(name));
      return identity !== undefined && hasArgument(identity.pid, argument) ? [identity] : [];
    });
}

const POLL_MS = 10;

/** Threads that a killed process still has: its descriptors are closed with the last, when it is a zombie already. */
function threadCount(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).length;
  } catch {
    return 0;
  }
}

/**
 * Ends it with SIGKILL and waits until it has ended, with all that it had open. Harmless when it has already.
 * @returns `false` when it still runs after `timeoutMs`
 */
export async function endProcess(identity: ProcessIdentity, timeoutMs = 5000): Promise<boolean> {
  const endMs = performance.now() + timeoutMs;
  while (isRunning(identity) || threadCount(identity.pid) > 1) {
    if (performance.now() > endMs) return !isRunning(identity);
    signalProcess(identity, 'SIGKILL');
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
  return true;
}
