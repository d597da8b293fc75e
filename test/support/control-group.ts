/**
 * A control group (version 2) for a test, which only root of the host can have: for other users the tests that need
 * one are not defined. Where the file system is mounted nowhere, it is mounted in the tests' own mount namespace.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupMount } from '../../src/pathmanager/cgroups.ts';

/** Root, and not only of a user namespace. */
export const isHostRoot =
  process.getuid!() === 0 && /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'));

function mountPoint(): string {
  const present = cgroupMount(readFileSync('/proc/self/mountinfo', 'utf8'));
  if (present !== undefined) return present;
  const own = '/run/weft-test-cgroup';
  mkdirSync(own, { recursive: true });
  const { status, stderr } = spawnSync('mount', ['-t', 'cgroup2', 'none', own], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cgroup2 is needed, and cannot be mounted: ${stderr}`);
  return own;
}

export class ControlGroup {
  /** As the kernel names it. */
  readonly path: string;
  readonly #mount: string;
  readonly #folder: string;
  readonly #outside: string;

  constructor(name: string) {
    // Process numbers are equal in namespaces that run side by side.
    this.path = `/${name}-${process.pid}-${randomBytes(4).toString('hex')}`;
    this.#mount = mountPoint();
    this.#folder = join(this.#mount, this.path);
    mkdirSync(this.#folder);
    this.#outside = ControlGroup.current();
  }

  /** The group that this process is in. */
  static current(): string {
    return /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))![1]!;
  }

  /** This process is in the group during `work`; children are born where their parent is. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    writeFileSync(join(this.#folder, 'cgroup.procs'), String(process.pid));
    try {
      return await work();
    } finally {
      writeFileSync(join(this.#mount, this.#outside, 'cgroup.procs'), String(process.pid));
    }
  }

  remove(): void {
    rmdirSync(this.#folder);
  }
}
