/**
 * `weft lab` as a user starts it: the built program, in a sandbox of its own, as root and as an ordinary user; and
 * that it leaves nothing, however it ends.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diffSnapshots, findRunningLab, takeSnapshot, type Snapshot } from '../src/lab/index.ts';
import { check, libc, MNT_DETACH, MS_BIND } from '../src/native/index.ts';

const ROOT = join(import.meta.dirname, '..');
const weft = (...args: string[]) => [process.execPath, join(ROOT, 'dist', 'bin', 'weft.js'), ...args];

let before: Snapshot;
beforeEach(() => {
  before = takeSnapshot();
});
afterEach(() => {
  expect(findRunningLab()).toBeUndefined();
  expect(diffSnapshots(before, takeSnapshot())).toEqual([]);
});

interface Running {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

function start(argv: readonly string[]): Running {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }));
  return { child, output, ended };
}

interface SummaryLine {
  readonly type: string;
  readonly intact: boolean;
  readonly ratio: number;
  readonly stallMs?: number;
}

async function summaryOf(running: Running): Promise<SummaryLine> {
  const { code } = await running.ended;
  expect(code, running.output.stderr + running.output.stdout.slice(-2000)).toBe(0);
  const lines = running.output.stdout.trim().split('\n');
  return JSON.parse(lines.at(-1) ?? '') as SummaryLine;
}

describe('weft lab', () => {
  it('shows both paths, the cut and the return, and leaves nothing', async () => {
    const running = start(weft('lab', '--json', '--seconds', '2', '--rate', '50,40', '--delay', '2,4'));
    const summary = await summaryOf(running);
    expect(summary).toMatchObject({ type: 'summary', intact: true });
    expect(summary.stallMs).toBeGreaterThan(0);
    const phases = running.output.stdout.match(/"phase":"\w+"/g) ?? [];
    expect([...new Set(phases)].map((text) => text.slice(9, -1))).toEqual([
      'single',
      'start',
      'both',
      'cut',
      'restored',
      'done',
    ]);
  });

  it('works for an ordinary user, and says lines where there is no terminal', async () => {
    // The checkout may stand where ordinary users cannot look; here it also stands where they can.
    const readable = mkdtempSync(join(tmpdir(), 'weft-checkout-'));
    check(libc.mount(ROOT, readable, null, MS_BIND, null), 'bind the checkout');
    try {
      const command = [process.execPath, join(readable, 'dist', 'bin', 'weft.js')];
      // On a busy machine less would not show what the uplinks give.
      const args = ['lab', '--seconds', '4', '--rate', '40', '--no-cut'];
      // In the sandbox of an ordinary user nobody else exists; there this is an ordinary user's test already.
      const user = /^\s*0\s+0\s+4294967295$/m.test(readFileSync('/proc/self/uid_map', 'utf8'))
        ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
        : [];
      const running = start([...user, ...command, ...args]);
      const { code } = await running.ended;
      expect(code, running.output.stderr + running.output.stdout).toBe(0);
      expect(running.output.stdout).toMatch(/^a download through the proxy of "weft up": both uplinks$/m);
      expect(running.output.stdout).toMatch(/^both paths \(through weft up\) {3}.* times one path$/m);
      expect(running.output.stdout).toMatch(/^download .*, intact \(SHA-256 /m);
    } finally {
      check(libc.umount2(readable, MNT_DETACH), 'unbind the checkout');
      rmdirSync(readable);
    }
  });

  it.each([
    [['--rate', 'fast'], 'It is one number from 1 to 10000'],
    [['--delay', '1,2,3'], 'It is one number from 0 to 1000'],
    [['--seconds', '0'], 'It is a number from 1 to 600'],
    [['shell', 'nowhere'], 'Allowed choices are client, router0, router1, server, air'],
  ])('%j is refused', async (args, text) => {
    const running = start(weft('lab', ...args));
    expect((await running.ended).code).not.toBe(0);
    expect(running.output.stderr).toContain(text);
  });
});

/** All processes below this one, as their numbers here. */
function descendants(pid: number): number[] {
  const found: number[] = [];
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    for (const child of children === '' ? [] : children.split(' ').map(Number)) {
      found.push(child, ...descendants(child));
    }
  } catch {
    // It ended meanwhile.
  }
  return found;
}

/** Dead, or dead and not yet waited for by whoever inherited it. */
function isGone(pid: number): boolean {
  try {
    return /^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

describe('weft lab shell', () => {
  it('runs a command in a node of a lab built for it, with its exit code', async () => {
    const running = start(weft('lab', 'shell', 'router1', '--', 'ip', '-br', 'addr'));
    expect((await running.ended).code).toBe(0);
    expect(running.output.stdout).toMatch(/^lan@.*10\.2\.0\.1\/24/m);
    const failing = start(weft('lab', 'shell', 'client', '--', 'sh', '-c', 'exit 7'));
    expect((await failing.ended).code).toBe(7);
  });

  it('enters the lab that runs', async () => {
    // The first lab: its client waits for a file, which the second command makes in the sandbox's own /run.
    const wait = 'echo ready; until [ -e /run/go ]; do sleep 0.05; done; echo entered';
    const first = start(weft('lab', 'shell', 'client', '--', 'sh', '-c', wait));
    while (!first.output.stdout.includes('ready')) await sleep(10);
    const second = start(weft('lab', 'shell', 'server', '--', 'sh', '-c', 'ip -br addr; pwd; touch /run/go'));
    expect((await second.ended).code).toBe(0);
    expect(second.output.stdout).toMatch(/203\.0\.113\.10/);
    expect(second.output.stdout).toContain(process.cwd());
    expect((await first.ended).code).toBe(0);
    expect(first.output.stdout).toContain('entered');
  });
});

describe('whatever ends it', () => {
  /** Runs until the output shows `text`; resolves with the processes below it: unshare, the first inside, others. */
  async function startUntil(text: string, ...args: string[]): Promise<{ running: Running; pids: number[] }> {
    const running = start(weft('lab', ...args));
    while (!(running.output.stdout + running.output.stderr).includes(text)) {
      await Promise.race([sleep(10), running.ended]);
      expect(running.child.exitCode, running.output.stderr).toBeNull();
    }
    return { running, pids: descendants(running.child.pid!) };
  }

  const allGone = async (pids: readonly number[]) => {
    while (!pids.every(isGone)) await sleep(5);
  };

  // Both would go on for much longer than a test may take.
  const demo = () => startUntil('one uplink alone', '--plain', '--seconds', '300');
  const shell = () => startUntil('the proxy listens', 'shell', 'client', '--', ...weft('up'));

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s ends it in order', async (signal) => {
    for (const begin of [demo, shell]) {
      const { running, pids } = await begin();
      expect(pids.length).toBe(begin === demo ? 2 : 3);
      running.child.kill(signal);
      expect((await running.ended).code).toBe({ SIGTERM: 143, SIGINT: 130, SIGHUP: 129 }[signal]);
      await allGone(pids);
      if (begin === demo) expect(running.output.stderr).toBe('');
      else expect(running.output.stderr).toMatch(/INFO: stopped/);
    }
  });

  it.each([
    ['the command', 'outer'],
    ['what holds the namespaces', 'unshare'],
    ['the first process inside', 'inner'],
  ] as const)('kill -9 of %s ends everything', async (_name, which) => {
    const { running, pids } = await shell();
    const [unshare, inner] = pids;
    process.kill({ outer: running.child.pid!, unshare: unshare!, inner: inner! }[which], 'SIGKILL');
    await running.ended;
    await allGone(pids);
  });
});
