/**
 * Paths of control groups (version 2) by their ids, which are the inode numbers of their folders. Without the file
 * system, as in many containers, nothing is found.
 *
 * Invariant: ids are never used again while the host runs, so that what was found stays true. BOUNDED: GROUPS_MAX.
 *
 * References: cgroups(7), proc(5) (mountinfo).
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const GROUPS_MAX = 20_000;

/** Where the file system of control groups is mounted (pure); `undefined`: nowhere. */
export function cgroupMount(mountinfo: string): string | undefined {
  for (const line of mountinfo.split('\n')) {
    // "36 35 98:0 /root /mount/point options optional… - type source options"
    const [before = '', after = ''] = line.split(' - ');
    if (!after.startsWith('cgroup2 ')) continue;
    const point = before.split(' ')[4];
    // Spaces and the like are written in octal.
    return point?.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
  }
  return undefined;
}

export class Cgroups {
  readonly #root: string | undefined;
  #paths: ReadonlyMap<bigint, string> = new Map();

  /** @param root folder of the file system */
  constructor(root = cgroupMount(readMounts())) {
    this.#root = root;
  }

  /** `/system.slice/x.service`, and `/` for the topmost; `undefined` when there is no such group (any more). */
  pathOf(id: bigint): string | undefined {
    const known = this.#paths.get(id);
    if (known !== undefined || this.#root === undefined) return known;
    this.#paths = readGroups(this.#root);
    return this.#paths.get(id);
  }
}

function readMounts(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return '';
  }
}

function readGroups(root: string): Map<bigint, string> {
  const paths = new Map<bigint, string>();
  const waiting = ['/'];
  for (let path = waiting.pop(); path !== undefined && paths.size < GROUPS_MAX; path = waiting.pop()) {
    const folder = join(root, path);
    try {
      paths.set(statSync(folder, { bigint: true }).ino, path);
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (entry.isDirectory()) waiting.push(join(path, entry.name));
      }
    } catch {
      // It went away in the meantime.
    }
  }
  return paths;
}
