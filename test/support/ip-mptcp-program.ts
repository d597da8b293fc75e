/**
 * The programs that the tests of ip-mptcp compare, and how they are run: each in a network namespace of its own.
 *
 * WEFT_IP_MPTCP names another build to test instead of dist/bin/ip-mptcp.js; WEFT_PEER_IP another `ip` to compare with
 * than the one of this machine, such as a newer release.
 */
import { spawn, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addNamespace, deleteNamespace, namespacePath } from '../../src/native/index.ts';
import type { Outcome } from './ip-mptcp-lines.ts';

const bin = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'dist', 'bin');

export const OURS: readonly string[] = [
  process.execPath,
  process.env['WEFT_IP_MPTCP'] ?? join(bin, 'ip-mptcp.js'),
];
export const WEFT: readonly string[] = [
  process.execPath,
  process.env['WEFT_IP_MPTCP'] === undefined
    ? join(bin, 'weft.js')
    : join(dirname(process.env['WEFT_IP_MPTCP']), 'weft.js'),
];
export const PEER: readonly string[] = [process.env['WEFT_PEER_IP'] ?? 'ip'];

/** Whether the peer is of the generation that ip-mptcp follows, and not an older one. */
export function peerIsSeven(): boolean {
  const { stdout } = spawnSync(PEER[0] ?? 'ip', ['-V'], { encoding: 'utf8' });
  return Number(/iproute2-(\d+)/.exec(stdout)?.[1] ?? 0) >= 7;
}

let made = 0;

/** A new network namespace in which lo is up. */
export class OwnNamespace {
  readonly name: string;
  readonly path: string;

  constructor() {
    made++;
    this.name = `ipm-${process.pid}-${made}`;
    this.path = namespacePath(this.name);
    addNamespace(this.name);
    this.ip('link', 'set', 'lo', 'up');
  }

  /** Runs the machine's own `ip` here. */
  ip(...words: string[]): string {
    const { stdout, stderr, status } = spawnSync('ip', ['-n', this.name, ...words], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** The command line that runs a program here. */
  command(program: readonly string[], words: readonly string[]): [string, string[]] {
    return ['nsenter', [`--net=${this.path}`, '--', ...program, ...words]];
  }

  /** Runs a program here to its end. */
  run(
    program: readonly string[],
    words: readonly string[],
    options: { readonly input?: string; readonly environment?: Readonly<Record<string, string>> } = {},
  ): Promise<Outcome> {
    const child = spawn(...this.command(program, words), { env: { ...process.env, ...options.environment } });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    // A program that ends before it has read its input closes the pipe.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? -1, out, err }));
    });
  }

  remove(): void {
    deleteNamespace(this.name);
  }
}
