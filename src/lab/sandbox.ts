/**
 * A private corner of the machine: the command runs again under unshare(1) with its own network, mount and process
 * namespaces (and user namespace when it is not root), an empty /run and loopback up. Inside it may make links,
 * namespaces and rules; nothing outside sees them.
 *
 * Not a security boundary: the file system outside /run is the same.
 *
 * Invariant: everything ends with the sandbox. Inside, the command is process 1 of its process namespace, so the
 * kernel kills the others when it ends; outside, each process of the chain (we → setpriv → unshare → the command)
 * gets SIGKILL from the kernel when its parent dies, so that a `kill -9` of any of them leaves nothing.
 *
 * References: unshare(1), setpriv(1), pid_namespaces(7), PR_SET_PDEATHSIG in prctl(2).
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { WeftError } from '../base/errors.ts';
import { AF_INET } from '../base/ip.ts';
import { check, closeFd, libc, NETNS_FOLDER, openSocket, SOCK_DGRAM } from '../native/index.ts';
import { diagnoseNamespaces, type NamespaceProblem } from './sandbox-diagnosis.ts';

/** Set for the command inside and removed by `enterSandbox`, so that its own children do not believe it. */
const MARK = 'WEFT_SANDBOX_INSIDE';

/**
 * The best first. Containers that mask parts of /proc forbid a fresh one; then /proc shows the numbers of outside,
 * and what looks processes up there (a running lab, some tests) does not find them. The lab itself works.
 */
const UNSHARE_VARIANTS = [
  ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ['--net', '--mount', '--pid', '--fork', '--kill-child'],
] as const;

export interface Sandbox {
  /** Arguments that go before a command so that it runs in a sandbox. */
  readonly prefix: readonly string[];
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

const isRoot = () => process.getuid?.() === 0;

function prefixWith(variant: readonly string[]): string[] {
  const user = isRoot() ? [] : ['--user', '--map-root-user'];
  return ['setpriv', '--pdeathsig', 'KILL', 'unshare', ...user, ...variant, '--'];
}

/** Tries in a few milliseconds whether namespaces can be had. Returns the problem when they cannot. */
export function findSandbox(): Sandbox | NamespaceProblem {
  if (process.platform !== 'linux') {
    return {
      reason: `namespaces need Linux, and this is ${process.platform}`,
      remedy: 'use a Linux machine',
    };
  }
  let failure = '';
  let programMissing = false;
  for (const variant of UNSHARE_VARIANTS) {
    const [program = '', ...args] = prefixWith(variant);
    // Mounting over /run is what `enterSandbox` does first; a sandbox that forbids it is none.
    const probe = [...args, 'mount', '-t', 'tmpfs', 'none', '/run'];
    const result = spawnSync(program, probe, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
    if (result.status === 0) return { prefix: prefixWith(variant) };
    programMissing = result.error !== undefined || result.status === 127;
    failure = (result.error?.message ?? result.stderr).trim().split('\n').at(-1) ?? '';
  }
  return diagnoseNamespaces({
    root: isRoot(),
    failure,
    programMissing,
    unprivilegedUsernsClone: readText('/proc/sys/kernel/unprivileged_userns_clone'),
    apparmorRestrictsUserns: readText('/proc/sys/kernel/apparmor_restrict_unprivileged_userns'),
    maxUserNamespaces: readText('/proc/sys/user/max_user_namespaces'),
    maxNetNamespaces: readText('/proc/sys/user/max_net_namespaces'),
    seccompMode: /^Seccomp:\s*(\d+)/m.exec(readText('/proc/self/status') ?? '')?.[1],
  });
}

export function isSandbox(found: Sandbox | NamespaceProblem): found is Sandbox {
  return 'prefix' in found;
}

/** Like findSandbox, with the problem as an error. */
export function requireSandbox(): Sandbox {
  const found = findSandbox();
  if (isSandbox(found)) return found;
  throw new WeftError(`private namespaces cannot be made: ${found.reason}`, {
    code: 'NO_NAMESPACES',
    hint: found.remedy,
  });
}

/** `true` in the command that a sandbox was made for. It calls `enterSandbox` before anything else. */
export function isInsideSandbox(): boolean {
  return process.env[MARK] !== undefined;
}

const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFREQ_FLAGS_AT = 16;
const IFF_UP = 1;

/** Loopback of this thread's network namespace up, as `ip link set lo up` does (netdevice(7)). */
export function raiseLoopback(): void {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    const ifreq = new Uint8Array(40);
    const view = new DataView(ifreq.buffer);
    ifreq.set(new TextEncoder().encode('lo'), 0);
    check(libc.ioctl(fd, SIOCGIFFLAGS, ifreq), 'read the flags of loopback');
    view.setUint16(IFREQ_FLAGS_AT, view.getUint16(IFREQ_FLAGS_AT, true) | IFF_UP, true);
    check(libc.ioctl(fd, SIOCSIFFLAGS, ifreq), 'set loopback up');
  } finally {
    closeFd(fd);
  }
}

/** First act inside: the private /run and loopback. */
export function enterSandbox(): void {
  delete process.env[MARK];
  check(libc.mount('none', '/run', 'tmpfs', 0, 'mode=755'), 'mount a private /run');
  mkdirSync(NETNS_FOLDER, { mode: 0o755 });
  raiseLoopback();
}

/** `false` in a process namespace whose /proc shows the processes of another (see UNSHARE_VARIANTS). */
function procIsOurs(): boolean {
  try {
    return readlinkSync('/proc/self') === String(process.pid);
  } catch {
    return false;
  }
}

/** Process 1 inside, as the process numbers of outside name it; `undefined` when it runs not, or cannot be told. */
function firstProcessOf(unsharePid: number): number | undefined {
  if (!procIsOurs()) return undefined;
  const children = readText(`/proc/${unsharePid}/task/${unsharePid}/children`);
  const pid = Number.parseInt(children ?? '', 10);
  return Number.isNaN(pid) ? undefined : pid;
}

export interface SandboxRun {
  /** Extra environment variables for the command. */
  readonly env?: Readonly<Record<string, string>>;
  /** Called with the process that holds the namespaces open (its /proc/PID/ns are the sandbox's). */
  readonly onStart?: (holderPid: number) => void;
}

/**
 * Runs a command of ours in the sandbox with our terminal and resolves with its exit code (128 + signal when one
 * killed it). The command must begin with `isInsideSandbox` and `enterSandbox`.
 */
export async function runInSandbox(
  sandbox: Sandbox,
  command: readonly string[],
  options: SandboxRun = {},
): Promise<number> {
  const [program = '', ...args] = [...sandbox.prefix, ...command];
  const env = { ...process.env, ...options.env, [MARK]: '1' };
  const child = spawn(program, args, { stdio: 'inherit', env });
  const pass = (signal: NodeJS.Signals) => {
    if (child.pid === undefined) return;
    // A terminal gives Ctrl-C to the whole process group, hence to the command as well.
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    const first = firstProcessOf(child.pid);
    // unshare ignores SIGTERM; without a command to ask, SIGKILL ends everything (see the head of this file).
    if (first === undefined) child.kill('SIGKILL');
    else process.kill(first, signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, pass);
  try {
    if (child.pid !== undefined) options.onStart?.(child.pid);
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
  } finally {
    for (const signal of signals) process.off(signal, pass);
  }
}
