/**
 * The built `weft` as a user starts it: programs in the nodes of a lab, their logs, and their ends.
 *
 * WEFT_PROGRAM names another build or an installed package to test instead of dist/bin/weft.js.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LabNode, ProgramResult } from '../../src/lab/index.ts';
import type { StatusReport } from '../../src/service/index.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const WEFT = process.env['WEFT_PROGRAM'] ?? join(root, 'dist', 'bin', 'weft.js');

/**
 * Without any capability, as an ordinary user is. The user's number stays, because inside a user namespace there may
 * be no other.
 */
export const UNPRIVILEGED = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'];

const RUNTIME_FOLDER = '/run/weft';

/** What a Weft of this node keeps in root's runtime folder. */
export function runtimeFiles(node: LabNode): string[] {
  const inode = statSync(node.path).ino;
  if (!existsSync(RUNTIME_FOLDER)) return [];
  return readdirSync(RUNTIME_FOLDER)
    .filter((name) => name.includes(String(inode)))
    .sort()
    .map((name) => join(RUNTIME_FOLDER, name));
}

export const weftCommand = (...args: string[]) => [process.execPath, WEFT, ...args];

/** Runs `weft ARGS` in a node to its end. */
export function runWeft(node: LabNode, ...args: string[]): Promise<ProgramResult> {
  return node.run(weftCommand(...args));
}

export async function readStatus(node: LabNode): Promise<StatusReport> {
  const { stdout } = await runWeft(node, 'status', '--json');
  return JSON.parse(stdout) as StatusReport;
}

/** A `weft up` that runs. */
export class RunningWeft {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #ended: Promise<number | null>;
  #waiting: (() => void)[] = [];

  constructor(child: ChildProcess) {
    this.process = child;
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        this[name] += text;
        this.#wake();
      });
    }
    this.#ended = once(child, 'close').then(([code, signal]) => {
      // A test that kills it expects no log; any other end by a signal is a crash, and its log is the report.
      if (signal !== null && signal !== 'SIGKILL') throw new Error(`crashed (${signal}):\n${this.stderr}`);
      return code as number | null;
    });
    void this.#ended.then(
      () => this.#wake(),
      () => this.#wake(),
    );
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** Resolves when the log has what matches; rejects when the program ended before. */
  async seen(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.stderr + this.stdout)) {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`ended before its log had ${pattern}:\n${this.stderr}${this.stdout}`);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Its exit code; `null` when a signal ended it. */
  get ended(): Promise<number | null> {
    return this.#ended;
  }

  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.process.kill(signal);
    return this.#ended;
  }
}

/** The last line of a `weft up` that has started: everything is there then. */
const STARTED = /weft status; to stop it/;

/** Starts `weft up ARGS` in a node and resolves when it is ready. */
export async function startWeft(
  node: LabNode,
  args: readonly string[] = [],
  prefix: readonly string[] = [],
): Promise<RunningWeft> {
  const weft = new RunningWeft(
    node.spawn([...prefix, ...weftCommand('up', ...args)], { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  await weft.seen(STARTED);
  return weft;
}
