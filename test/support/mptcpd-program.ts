/**
 * The built `mptcpd` as a service manager or a user starts it.
 *
 * WEFT_MPTCPD_PROGRAM names another build or an installed one to test instead of dist/bin/mptcpd.js.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LabNode } from '../../src/lab/index.ts';
import { RunningWeft } from './weft-program.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const MPTCPD = process.env['WEFT_MPTCPD_PROGRAM'] ?? join(root, 'dist', 'bin', 'mptcpd.js');

export const mptcpdCommand = (...args: string[]) => [process.execPath, MPTCPD, ...args];

/** A folder with a configuration file that this user owns. */
export class Configuration {
  readonly folder = mkdtempSync(join(tmpdir(), 'mptcpd-'));
  readonly path = join(this.folder, 'mptcpd.conf');

  constructor(text = '') {
    this.write(text);
  }

  write(text: string): void {
    writeFileSync(this.path, text, { mode: 0o644 });
  }

  /** The environment of an mptcpd that reads it. */
  environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
    return { ...process.env, WEFT_MPTCPD_CONF: this.path, ...more };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface StartOptions {
  readonly args?: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** Words before the program, such as `setpriv …`. */
  readonly prefix?: readonly string[];
}

/** Starts mptcpd in a node; `seen(/is ready/)` waits until it is. */
export function spawnMptcpd(
  node: LabNode,
  { args = [], environment, prefix = [] }: StartOptions,
): RunningWeft {
  const argv = [...prefix, ...mptcpdCommand(...args)];
  return new RunningWeft(node.spawn(argv, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** The line of the log that says that a start has ended. */
export const READY = /mptcpd is ready: /;

/** Options with which it makes an endpoint of every usable address, those that are there too. */
export const FOLLOW_ADDRESSES = [
  '--addr-flags=subflow',
  '--notify-flags=existing,skip_link_local,skip_loopback',
];

export async function startMptcpd(node: LabNode, options: StartOptions): Promise<RunningWeft> {
  const daemon = spawnMptcpd(node, options);
  await daemon.seen(READY);
  return daemon;
}
