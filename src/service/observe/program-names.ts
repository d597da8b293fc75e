/**
 * Which program holds a socket: the socket's inode among the descriptors of /proc/PID/fd, and the program's name in
 * /proc/PID/comm. Without privilege only the user's own programs are seen.
 *
 * A search reads the descriptors of every process until all that is wanted is found, the processes that held sockets
 * before first. It is cut into slices and done at most every few seconds, because a host may have thousands of
 * processes with thousands of descriptors each.
 *
 * Invariant: the search takes at most SLICE_MS of the thread at a time and about a twentieth of it altogether.
 * BOUNDED: WANTED_MAX sockets are looked for at once, FOUND_MAX remembered, PROCESSES_MAX processes looked at;
 * HOLDERS_MAX processes remembered as holders.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface ProgramOfSocket {
  readonly pid: number;
  /** As in /proc/PID/comm: at most 15 bytes. */
  readonly name: string;
}

/** Where to look; another one in tests. */
export interface ProcReader {
  /** Numbers of all processes, in any order. */
  processes(): number[];
  /** Names of its descriptors; none when it may not be looked at or is gone. */
  descriptors(pid: number): string[];
  /** `socket:[123]` */
  descriptor(pid: number, name: string): string;
  nameOf(pid: number): string | undefined;
}

function attempt<T>(work: () => T, otherwise: T): T {
  try {
    return work();
  } catch {
    return otherwise;
  }
}

export const procReader: ProcReader = {
  processes: () =>
    attempt(() => readdirSync('/proc'), [])
      .filter((name) => /^\d+$/.test(name))
      .map(Number),
  descriptors: (pid) => attempt(() => readdirSync(`/proc/${pid}/fd`), []),
  descriptor: (pid, name) => attempt(() => readlinkSync(`/proc/${pid}/fd/${name}`), ''),
  nameOf: (pid) => attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd(), undefined),
};

const SEARCH_EVERY_MS = 5000;
const SLICE_MS = 2;
const PAUSE_MS = 40;
const WANTED_MAX = 20_000;
const FOUND_MAX = 20_000;
const PROCESSES_MAX = 20_000;
const HOLDERS_MAX = 64;
/** Searches that have not found it: it is somebody's who may not be looked at. */
const TRIES_MAX = 2;

const inodeOf = (target: string): number => {
  const match = /^socket:\[(\d+)\]$/.exec(target);
  return match === null ? 0 : Number(match[1]);
};

/**
 * Goes through the processes; each step is about one system call.
 * @param wanted what is found is taken out
 */
export function* searchPrograms(
  wanted: Set<number>,
  holders: readonly number[],
  proc: ProcReader,
): Generator<{ readonly inode: number; readonly program: ProgramOfSocket } | undefined, void> {
  // Newest first: what is not known yet is most often of a program that has just begun.
  const others = proc
    .processes()
    .sort((a, b) => b - a)
    .filter((pid) => !holders.includes(pid));
  for (const pid of [...holders, ...others].slice(0, PROCESSES_MAX)) {
    let program: ProgramOfSocket | undefined;
    for (const name of proc.descriptors(pid)) {
      const inode = inodeOf(proc.descriptor(pid, name));
      if (inode !== 0 && wanted.delete(inode)) {
        program ??= { pid, name: proc.nameOf(pid) ?? `process ${pid}` };
        yield { inode, program };
        if (wanted.size === 0) return;
      } else yield undefined;
    }
    yield undefined;
  }
}

export class ProgramNames {
  readonly #proc: ProcReader;
  readonly #found = new Map<number, ProgramOfSocket>();
  readonly #tries = new Map<number, number>();
  #holders: number[] = [];
  #searching: ReturnType<typeof searchPrograms> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastSearchMs = -Infinity;

  constructor(proc: ProcReader = procReader) {
    this.#proc = proc;
  }

  /** What is known already. */
  of(inode: number): ProgramOfSocket | undefined {
    return this.#found.get(inode);
  }

  /**
   * Says which sockets there are, all of them; begins a search when one is unknown and it is time.
   */
  want(inodes: Iterable<number>, nowMs: number): void {
    if (this.#searching !== undefined || nowMs - this.#lastSearchMs < SEARCH_EVERY_MS) return;
    const there = new Set<number>();
    const wanted = new Set<number>();
    for (const inode of inodes) {
      if (inode === 0) continue;
      there.add(inode);
      const isKnown = this.#found.has(inode) || (this.#tries.get(inode) ?? 0) >= TRIES_MAX;
      if (!isKnown && wanted.size < WANTED_MAX) wanted.add(inode);
    }
    for (const map of [this.#found, this.#tries]) {
      for (const inode of map.keys()) if (!there.has(inode)) map.delete(inode);
    }
    if (wanted.size === 0) return;
    this.#lastSearchMs = nowMs;
    this.#searching = searchPrograms(wanted, this.#holders, this.#proc);
    this.#runSearch(wanted);
  }

  #runSearch(wanted: ReadonlySet<number>): void {
    const endMs = performance.now() + SLICE_MS;
    do {
      const step = this.#searching?.next();
      if (step === undefined || step.done === true) {
        this.#searching = undefined;
        for (const inode of wanted) this.#tries.set(inode, (this.#tries.get(inode) ?? 0) + 1);
        return;
      }
      if (step.value !== undefined) this.#keep(step.value.inode, step.value.program);
    } while (performance.now() < endMs);
    this.#timer = setTimeout(() => this.#runSearch(wanted), PAUSE_MS).unref();
  }

  #keep(inode: number, program: ProgramOfSocket): void {
    if (this.#found.size < FOUND_MAX) this.#found.set(inode, program);
    if (this.#holders[0] === program.pid) return;
    this.#holders = [program.pid, ...this.#holders.filter((pid) => pid !== program.pid)].slice(
      0,
      HOLDERS_MAX,
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#searching = undefined;
  }
}
