/**
 * One QEMU: started with the descriptors that it needs, watched, and ended. What it is asked goes through qmp.ts and
 * agent-client.ts, whose ends this object makes.
 *
 * Invariant: when `start` throws, no process and no descriptor of it is left.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Readable } from 'node:stream';
import { errorText, WeftError } from '../../base/index.ts';
import { closeFd, openSocketPair } from '../../native/index.ts';
import { qemuArguments, type BootSource, type QemuMachine } from './qemu-command.ts';
import type { QemuUser } from './qemu-user.ts';

/** Proxying is not worth a stutter of whatever the user looks at. */
const NICENESS = 5;
/** BOUNDED: what is kept of console and errors. */
const CONSOLE_MAX = 16 << 10;
/** What a terminal would take for colours and movements. */
const TERMINAL_SEQUENCE = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, 'g');
/** Monitor and agent come right behind the standard streams, then the image's files and the TAP links. */
const MONITOR_FD = 3;
const AGENT_FD = 4;
const FIRST_NEXT_FD = 5;

export interface QemuNicDescriptor {
  readonly slot: number;
  readonly mac: string;
  /** Stays the caller's. */
  readonly fd: number;
}

export interface QemuStart extends Omit<QemuMachine, 'monitorFd' | 'agentFd' | 'nics'> {
  /** Name or path. */
  readonly program: string;
  readonly user: QemuUser;
  readonly nics: readonly QemuNicDescriptor[];
}

export interface QemuExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class QemuProcess {
  readonly pid: number;
  /** The host's ends; whoever takes them over closes them. */
  readonly monitorFd: number;
  readonly agentFd: number;
  readonly exited: Promise<QemuExit>;
  readonly #child: ChildProcess;
  #console = '';
  #exit: QemuExit | undefined;

  private constructor(child: ChildProcess, pid: number, monitorFd: number, agentFd: number) {
    this.pid = pid;
    this.#child = child;
    this.monitorFd = monitorFd;
    this.agentFd = agentFd;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
    for (const stream of [child.stdout, child.stderr]) this.#keep(stream);
  }

  /**
   * @throws WeftError NO_QEMU when the program cannot be run, BROKEN_IMAGE when a file of the image cannot be read
   */
  static async start(options: QemuStart): Promise<QemuProcess> {
    const { nics, program, user } = options;
    const [monitorFd, monitorEnd] = openSocketPair();
    const [agentFd, agentEnd] = openSocketPair();
    const release = () => [monitorFd, agentFd].forEach(closeFd);
    const files: number[] = [];
    try {
      const boot = openBoot(options.boot, FIRST_NEXT_FD, files);
      const firstTap = FIRST_NEXT_FD + files.length;
      const args = qemuArguments({
        ...options,
        boot,
        monitorFd: MONITOR_FD,
        agentFd: AGENT_FD,
        nics: nics.map(({ mac, slot }, index) => ({ slot, mac, fd: firstTap + index })),
      });
      const child = spawn(program, args, {
        stdio: ['ignore', 'pipe', 'pipe', monitorEnd, agentEnd, ...files, ...nics.map(({ fd }) => fd)],
        env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
        cwd: '/',
        shell: false,
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        ...(user.gid === undefined ? {} : { gid: user.gid }),
      });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', reject);
      });
      const { pid } = child;
      if (pid === undefined) throw new Error('it has no process number');
      try {
        setPriority(pid, NICENESS);
      } catch {
        // It has ended already, which its exit tells better.
      }
      return new QemuProcess(child, pid, monitorFd, agentFd);
    } catch (error) {
      release();
      if (error instanceof WeftError) throw error;
      throw new WeftError(`run "${program}": ${errorText(error)}`, {
        code: 'NO_QEMU',
        cause: error,
        hint: 'install QEMU (Debian: apt install qemu-system-x86)',
      });
    } finally {
      [monitorEnd, agentEnd, ...files].forEach(closeFd);
    }
  }

  #keep(stream: Readable | null): void {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      this.#console = (this.#console + text).slice(-CONSOLE_MAX);
    });
    // Its end is told by the process's.
    stream?.on('error', () => {});
  }

  /** The last lines of the guest's console and of QEMU's errors, fit for a log. */
  consoleTail(lines = 5): string[] {
    return this.#console
      .replaceAll(TERMINAL_SEQUENCE, '')
      .split(/[\r\n]+/)
      .map((line) => line.replaceAll(/[^\x20-\x7e\u00a0-\uffff]/g, '').trim())
      .filter((line) => line !== '')
      .slice(-lines);
  }

  /** `undefined` while it runs. */
  get exit(): QemuExit | undefined {
    return this.#exit;
  }

  /** Ends it at once and waits for its end. Harmless when it has ended. */
  async kill(): Promise<void> {
    if (this.#exit === undefined) this.#child.kill('SIGKILL');
    await this.exited;
  }
}

/**
 * The image's files as descriptors that QEMU inherits: whoever QEMU runs as, the folders they lie in may be closed to
 * him. @param files gets the descriptors, also when it throws
 */
function openBoot(boot: BootSource, firstFd: number, files: number[]): BootSource {
  const open = (path: string) => {
    try {
      files.push(openSync(path, 'r'));
    } catch (error) {
      throw new WeftError(`open the appliance's image: ${errorText(error)}`, {
        code: 'BROKEN_IMAGE',
        cause: error,
        hint: 'build or import it again ("weft appliance build")',
      });
    }
    return `/proc/self/fd/${firstFd + files.length - 1}`;
  };
  if (boot.kind === 'disk') return { ...boot, path: open(boot.path) };
  return { ...boot, kernel: open(boot.kernel), initramfs: open(boot.initramfs) };
}
