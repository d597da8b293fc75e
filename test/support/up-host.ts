/**
 * A host with uplinks for the tests of `weft up`: one namespace for it and one for all that it is plugged into.
 *
 *    ns PREFIXhost   c1  10.1.0.2/24, 2001:db8:1::2/64  ─── veth ───  p1   ns PREFIXnet
 *                    c2  10.2.0.2/24, 2001:db8:2::2/64  ─── veth ───  p2
 *
 * Everything is arranged and read with Debian's ip, so that Weft's own netlink code is not its own witness.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../src/base/index.ts';
import { diffSnapshots, LabNode, takeSnapshot, type Snapshot } from '../../src/lab/index.ts';
import { Supervisor, type SupervisorOptions, type SupervisorStatus } from '../../src/service/supervisor.ts';

const lines = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

const TEST_DEADLINE_MS = 20_000;

/** Waits until `condition` holds; asks again in every turn of the event loop. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + TEST_DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

export interface UplinkChoice {
  readonly v4?: boolean;
  readonly v6?: boolean;
  readonly metric?: number;
  /** `false`: no default routes yet. */
  readonly routes?: boolean;
}

export class UpHost {
  readonly node: LabNode;
  readonly net: LabNode;
  readonly stateFolder: string;
  /** Texts of the log, levels first. */
  readonly log: string[] = [];
  /** Supervisors to stop with the host. */
  readonly #running = new Set<Supervisor>();
  constructor(prefix = 'wup-') {
    this.node = new LabNode('host', `${prefix}host`);
    this.net = new LabNode('net', `${prefix}net`);
    // Duplicate address detection takes two seconds for each link; where it matters, a test switches it on.
    for (const which of ['all', 'default']) this.node.setSysctl(`ipv6/conf/${which}/accept_dad`, 0);
    this.stateFolder = mkdtempSync('/run/weft-up-test-');
  }

  get path(): string {
    return this.node.path;
  }

  /** `ip -n HOST ARGUMENTS`, arguments in one text. */
  ip(command: string): string {
    return execFileSync('ip', ['-n', this.node.namespace, ...command.split(' ')], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Many commands in one process. */
  batch(commands: readonly string[]): void {
    execFileSync('ip', ['-n', this.node.namespace, '-batch', '-'], {
      input: commands.join('\n'),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  netIp(command: string): void {
    execFileSync('ip', ['-n', this.net.namespace, ...command.split(' ')], { stdio: 'pipe' });
  }

  /** A link `cN` whose other end `pN` is up. */
  addLink(n: number): void {
    this.ip(`link add c${n} type veth peer name p${n} netns ${this.net.namespace}`);
    this.netIp(`link set p${n} up`);
    this.ip(`link set c${n} up`);
  }

  addAddresses(n: number, { v4 = true, v6 = true }: UplinkChoice = {}, host = 2): void {
    if (v4) this.ip(`addr add 10.${n}.0.${host}/24 dev c${n}`);
    if (v6) this.ip(`addr add 2001:db8:${n}::${host}/64 dev c${n} nodad`);
  }

  addRoutes(n: number, { v4 = true, v6 = true, metric = n * 100 }: UplinkChoice = {}, gateway = 1): void {
    if (v4) this.ip(`route add default via 10.${n}.0.${gateway} dev c${n} metric ${metric}`);
    if (v6) this.ip(`-6 route add default via fe80::${gateway} dev c${n} metric ${metric}`);
  }

  addUplink(n: number, choice: UplinkChoice = {}): void {
    this.addLink(n);
    this.addAddresses(n, choice);
    if (choice.routes !== false) this.addRoutes(n, choice);
  }

  /** The carrier of `cN`. */
  plug(n: number, plugged: boolean): void {
    this.netIp(`link set p${n} ${plugged ? 'up' : 'down'}`);
  }

  /** Waits until no link is about to change its state by itself, so that a snapshot is one of rest. */
  async settle(): Promise<void> {
    await until(
      () =>
        !/tentative/.test(this.ip('addr')) &&
        lines(this.ip('-o link')).every(
          (line) => !/[<,]UP[,>]/.test(line) || /state (UP|UNKNOWN|DOWN)/.test(line),
        ) &&
        lines(this.ip('-o link')).every((line) => !/LOWER_UP/.test(line) || /state (UP|UNKNOWN)/.test(line)),
      'links at rest',
    );
  }

  /** Rules that are not the kernel's three, as ip prints them, of both families, sorted. */
  rules(): string[] {
    return [...lines(this.ip('-4 rule')), ...lines(this.ip('-6 rule'))]
      .map((line) => line.replaceAll(/\s+/g, ' '))
      .filter((line) => !/^(0|32766|32767):/.test(line))
      .sort();
  }

  /** The routes of a table, as ip prints them, sorted. */
  table(table: number): string[] {
    const show = (family: 4 | 6) => {
      try {
        return lines(this.ip(`-${family} route show table ${table}`));
      } catch {
        // "FIB table does not exist"
        return [];
      }
    };
    return [...show(4), ...show(6)].map((line) => line.replaceAll(/\s+/g, ' ').trim()).sort();
  }

  /** `ADDRESS id N FLAGS dev LINK`, sorted by id. */
  endpoints(): string[] {
    return lines(this.ip('mptcp endpoint show')).map((line) => line.trim());
  }

  limits(): string {
    return this.ip('mptcp limits show').trim();
  }

  snapshot(): Snapshot {
    // IPv6 addresses lose "tentative" and routes gain nothing by time, so what differs is what somebody did.
    return takeSnapshot({ netns: this.path });
  }

  /** Empty when the host is as it was. */
  changesSince(before: Snapshot): string[] {
    return diffSnapshots(before, this.snapshot());
  }

  get logger(): Logger {
    const note = (level: string) => (_fields: unknown, text: string) => {
      this.log.push(`${level} ${text}`);
    };
    return { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  }

  supervisor(options: Partial<SupervisorOptions> = {}): Supervisor {
    return new Supervisor({
      logger: this.logger,
      netns: this.path,
      stateFolder: this.stateFolder,
      ...options,
    });
  }

  async start(options: Partial<SupervisorOptions> = {}): Promise<Supervisor> {
    const supervisor = this.supervisor(options);
    await supervisor.start();
    this.#running.add(supervisor);
    return supervisor;
  }

  async stop(supervisor: Supervisor): Promise<void> {
    this.#running.delete(supervisor);
    await supervisor.stop();
  }

  /** Waits until the supervisor knows. */
  async seen(supervisor: Supervisor, what: (status: SupervisorStatus) => boolean): Promise<void> {
    await until(() => what(supervisor.status()), 'the supervisor to see it');
  }

  /** Files that the supervisor keeps for this host. */
  stateFiles(): string[] {
    return readdirSync(this.stateFolder);
  }

  statePath(ending: 'json' | 'lock'): string | undefined {
    const name = this.stateFiles().find((file) => file.endsWith(ending));
    return name === undefined ? undefined : join(this.stateFolder, name);
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#running].map((supervisor) => supervisor.stop()));
    await this.node.close();
    await this.net.close();
    rmSync(this.stateFolder, { recursive: true, force: true });
  }
}

/** `c1 10.1.0.2 active`, one for each path. */
export function pathStates(status: SupervisorStatus): string[] {
  return status.paths.map((path) => `${path.link} ${path.address} ${path.state}`).sort();
}
