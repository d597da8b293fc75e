/**
 * One machine of a lab: a network namespace with a name, its links by name, and the programs that run in it.
 *
 * Invariant: what was started here ends with `close` at the latest; the namespace's name goes with it.
 */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '../base/errors.ts';
import { addNamespace, deleteNamespace, inNamespace, namespacePath } from '../native/index.ts';
import { RouteNetlink } from '../netlink/index.ts';
import { raiseLoopback } from './sandbox.ts';

/** How a program in a node ended, and what it wrote. */
export interface ProgramResult {
  /** Exit code; `null` when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class LabNode {
  /** The name in the topology; the namespace's own may have a prefix. */
  readonly name: string;
  readonly namespace: string;
  /** The namespace's file. */
  readonly path: string;
  readonly netlink: RouteNetlink;
  /** UNBOUNDED: the programs that run in this node now, because the lab's user decides how many. */
  readonly #children = new Set<ChildProcess>();

  constructor(name: string, namespace = name) {
    this.name = name;
    this.namespace = namespace;
    this.path = namespacePath(namespace);
    addNamespace(namespace);
    try {
      this.inside(raiseLoopback);
      this.netlink = RouteNetlink.open({ netns: this.path });
    } catch (error) {
      deleteNamespace(namespace);
      throw error;
    }
  }

  /** Runs `work`, which must be synchronous, with this thread in the node. Sockets made there stay there. */
  inside<T>(work: () => T): T {
    return inNamespace(this.path, work);
  }

  /** Sets a kernel setting under /proc/sys/net of this node, such as `ipv4/ip_forward`. */
  setSysctl(name: string, value: string | number): void {
    this.inside(() => writeFileSync(join('/proc/sys/net', name), String(value)));
  }

  linkIndex(name: string): number {
    const link = this.netlink.linkByName(name);
    if (link !== undefined) return link.index;
    throw new WeftError(`node "${this.name}" has no link "${name}"`, { code: 'NO_LINK' });
  }

  /** Takes a link from another node, under a new name. */
  adoptLink(from: LabNode, name: string, newName: string): void {
    const netnsFd = openSync(this.path, 'r');
    try {
      from.netlink.setLink(from.linkIndex(name), { netnsFd, name: newName });
    } finally {
      closeSync(netnsFd);
    }
  }

  /**
   * Starts a program in this node, as `ip netns exec` does; its standard streams are pipes unless told otherwise.
   * It gets SIGKILL when the lab closes.
   */
  spawn(argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [program = '', ...args] = argv;
    // fork(2) happens within this call on this thread, so the child is born in the namespace.
    const child = this.inside(() => spawn(program, args, { ...options, shell: false }));
    if (child.pid !== undefined) {
      this.#children.add(child);
      child.once('exit', () => this.#children.delete(child));
    }
    return child;
  }

  /** Runs a program to its end. Throws only when it cannot be started. */
  async run(argv: readonly string[], options: SpawnOptions = {}): Promise<ProgramResult> {
    const child = this.spawn(argv, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { code, signal, ...output };
  }

  /** Programs that run in this node now. */
  get processIds(): number[] {
    return [...this.#children].flatMap((child) => child.pid ?? []);
  }

  /** What can be done at once, for the end of the process: signals sent, name removed. */
  closeNow(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    deleteNamespace(this.namespace);
  }

  async close(): Promise<void> {
    const ended = [...this.#children].map((child) => once(child, 'exit'));
    this.closeNow();
    this.netlink.close();
    await Promise.all(ended);
  }
}
