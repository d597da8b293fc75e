/**
 * How `weft lab shell` finds the lab that runs already: a small file with the number of the process that holds the
 * lab's namespaces, in a folder that only this user can write to, or under a name that only this user can have made.
 */
import { existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const userId = () => process.getuid?.() ?? 0;

function recordPath(): string {
  if (userId() === 0) return '/run/weft-lab.pid';
  const folder = process.env['XDG_RUNTIME_DIR'];
  return folder === undefined || folder === ''
    ? join(tmpdir(), `weft-lab-${userId()}.pid`)
    : join(folder, 'weft-lab.pid');
}

/** A process of that number that has the lab's own /run; the number may be another process's by now, or a zombie's. */
function isHolder(pid: number): boolean {
  try {
    return (
      readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'unshare' &&
      existsSync(`/proc/${pid}/root/run/netns`)
    );
  } catch {
    return false;
  }
}

/** The process whose /proc/PID/ns are the running lab's; `undefined` when none runs. */
export function findRunningLab(): number | undefined {
  try {
    const path = recordPath();
    const stat = lstatSync(path);
    if (!stat.isFile() || stat.uid !== userId()) return undefined;
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
    return isHolder(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Records a lab, unless one is recorded that still runs. Returns how to forget it again. */
export function recordRunningLab(holderPid: number): () => void {
  if (findRunningLab() !== undefined) return () => {};
  const path = recordPath();
  try {
    rmSync(path, { force: true });
    writeFileSync(path, `${holderPid}\n`, { flag: 'wx', mode: 0o600 });
  } catch {
    // Only "weft lab shell" misses it.
    return () => {};
  }
  return () => {
    try {
      rmSync(path, { force: true });
    } catch {
      // It names a process that is gone, which findRunningLab notices.
    }
  };
}

/**
 * The command that enters a node of the running lab. The namespaces' files are reached through the holder's root
 * folder, because the lab's /run is its own.
 */
export function enterCommand(holderPid: number, node: string, command: readonly string[]): string[] {
  const user = userId() === 0 ? [] : ['--user', '--preserve-credentials'];
  return [
    'nsenter',
    '--target',
    String(holderPid),
    ...user,
    '--mount',
    `--net=/proc/${holderPid}/root/run/netns/${node}`,
    `--pid=/proc/${holderPid}/ns/pid_for_children`,
    '--',
    // Entering a mount namespace leads to its root folder.
    'env',
    `--chdir=${process.cwd()}`,
    ...command,
  ];
}
