/**
 * Starting and ending the programs of the benchmark, each in a network namespace, and what they cost. Whatever was
 * started is ended by its process id.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** UNBOUNDED: a handful of programs. */
const running = new Set();

/** Runs a program to its end; throws when it fails. */
export function run(command, ...args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr || result.error}`);
  return result.stdout;
}

/**
 * Starts a program in a namespace. `ready` resolves when it has printed `waitFor`, at once when that is `null`.
 * `lines(n)` are the whole lines of its standard output from the n-th on.
 */
export function start(node, command, { waitFor = null, env = {} } = {}) {
  const child = spawn('ip', ['netns', 'exec', node, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  running.add(child);
  let output = '';
  let standard = '';
  const waiting = new Set();
  const heard = () => {
    for (const look of waiting) look();
  };
  child.stdout.on('data', (chunk) => {
    output += chunk;
    standard += chunk;
    heard();
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
    heard();
  });
  let hasEnded = false;
  const ended = new Promise((resolve) => {
    child.once('close', (code) => {
      hasEnded = true;
      running.delete(child);
      resolve(code);
      heard();
    });
  });
  /** Resolves to what `pick` finds in the output, once that is not `undefined`. */
  const seeing = (pick) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = pick();
        if (found === undefined && !hasEnded) return;
        waiting.delete(look);
        if (found === undefined)
          reject(new Error(`${command.slice(0, 3).join(' ')} ended: ${output.slice(-2000)}`));
        else resolve(found);
      };
      waiting.add(look);
      look();
    });
  const ready =
    waitFor === null ? Promise.resolve() : seeing(() => (output.includes(waitFor) ? true : undefined));
  // Whoever waits for it later gets the error; nobody waiting is no crash.
  ready.catch(() => {});
  return {
    pid: child.pid,
    child,
    ended,
    ready,
    seeing,
    output: () => output,
    lines: () => standard.split('\n').slice(0, -1),
  };
}

export async function stop(program) {
  program.child.kill('SIGTERM');
  const timer = setTimeout(() => program.child.kill('SIGKILL'), 5000);
  const code = await program.ended;
  clearTimeout(timer);
  return code;
}

/** Runs a program in a namespace to its end and gives back what it printed. */
export async function finish(node, command, options) {
  const program = start(node, command, options);
  const code = await program.ended;
  if (code !== 0) throw new Error(`${command.join(' ')}: exit ${code}: ${program.output().slice(-2000)}`);
  return program.lines().join('\n');
}

export function killAll() {
  for (const child of running) child.kill('SIGKILL');
}

export const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** CLOCK_MONOTONIC, the same in all processes of the machine. */
export const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

/** proc(5): a tick is 10 ms on every architecture that Weft runs on. */
const TICKS_PER_SECOND = 100;

/** Seconds of CPU that the machine and these processes have used so far. */
export function cpuSnapshot(pids) {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const processes = pids.map((pid) => {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    } catch {
      return 0;
    }
  });
  return {
    atMs: nowMs(),
    machine: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    steal: steal / TICKS_PER_SECOND,
    processes,
  };
}

/** Cores in use between two snapshots: of the machine, and of each process. */
export function coresBetween(before, after) {
  const seconds = (after.atMs - before.atMs) / 1000;
  return {
    machine: (after.machine - before.machine) / seconds,
    steal: (after.steal - before.steal) / seconds,
    processes: after.processes.map((value, i) => (value - before.processes[i]) / seconds),
  };
}

/** Memory of a process in KiB: resident, and its proportional share. */
export function memoryKib(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return { rss: of('Rss'), pss: of('Pss') };
}
