/**
 * Plugins that turn against the daemon: floods, messages that are none, errors that throw. The daemon goes on, and
 * tells of it. On the loopback of this test's own namespace.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Logger } from '../src/base/index.ts';
import { OWNS_NOTHING, PathDaemon } from '../src/pathmanager/index.ts';

const SOON = { interval: 5, timeout: 20_000 };

let folder: string;
let lines: string[];
let daemon: PathDaemon;

const logger: Logger = Object.fromEntries(
  (['debug', 'info', 'warn', 'error'] as const).map((level) => [
    level,
    (_: unknown, message: string) => lines.push(`${level} ${message}`),
  ]),
) as unknown as Logger;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-plugins-'));
  lines = [];
});
afterEach(async () => {
  await daemon.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A plugin whose callback does `body` when it is told of the kernel's path manager, which is at once. */
async function start(body: string): Promise<void> {
  const text = `import { parentPort } from 'node:worker_threads';
    export default { name: 'bad', init(context) { const { log } = context;
      context.register({ ready: () => { ${body} }, newInterface: () => {} });
    } };`;
  writeFileSync(join(folder, 'bad.mjs'), text, { mode: 0o644 });
  daemon = new PathDaemon({
    logger,
    pluginDirectory: folder,
    loadPlugins: ['bad'],
    addressFlags: 0,
    notify: { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false },
    rules: [],
    pluginSettings: new Map(),
    journal: { load: () => OWNS_NOTHING, save: () => {} },
    keepEndpoints: false,
    callbackBudgetMs: 20_000,
  });
  await daemon.start();
}

const plugin = () => daemon.status().plugins.find(({ name }) => name === 'bad');

it('a flood of long log lines is bounded where it begins, and told of', async () => {
  await start(`const long = 'x'.repeat(300_000_000); for (let i = 0; i < 5000; i++) log.info(long);`);
  await expect
    .poll(() => lines, SOON)
    .toContainEqual(expect.stringMatching(/^warn \d+ log lines of plugin "bad" were dropped$/));
  const told = lines.filter((line) => line.startsWith('info x'));
  const dropped = lines.map((line) => Number(/^warn (\d+) log lines/.exec(line)?.[1] ?? 0));
  expect(told.length + dropped.reduce((sum, count) => sum + count)).toBe(5000);
  expect(new Set(told.map((line) => line.length))).toEqual(new Set(['info '.length + 4096]));
  expect(plugin()).toMatchObject({ state: 'running' });
});

it('a flood past the log ends the plugin', async () => {
  await start(
    `for (let i = 0; i < 1_000_000; i++) parentPort.postMessage({ kind: 'log', level: 'debug', message: '' });`,
  );
  await expect
    .poll(plugin, SOON)
    .toMatchObject({ state: 'ended', reason: 'it floods the daemon with messages' });
});

it.each([
  ['null', 'it sent a message that is no object'],
  [`{ kind: 'log', message: 5 }`, 'it sent a malformed message of kind "log"'],
  [`{ kind: 'log', level: 'child', message: '' }`, 'it sent a malformed message of kind "log"'],
  [`{ kind: 'loaded' }`, 'it sent a malformed message of kind "loaded"'],
  [`{ kind: 'call', id: 1, group: 'ids' }`, 'it sent a malformed message of kind "call"'],
  [
    `{ kind: 'loaded', name: 'other', description: '', version: '', priority: 0 }`,
    'it says again that it is loaded',
  ],
])('one that sends %s is ended', async (message, reason) => {
  await start(`parentPort.postMessage(${message});`);
  await expect.poll(plugin, SOON).toMatchObject({ state: 'ended', reason });
  expect(lines).toContainEqual(expect.stringContaining(reason));
});

it('errors whose text cannot be had are told at once, and the plugin goes on', async () => {
  await start(`
    setTimeout(() => { throw { toString() { throw new Error('inner'); } }; }, 1);
    const error = new Error(); Object.defineProperty(error, 'message', { get() { throw error; } }); throw error;`);
  for (const callback of ['ready', 'outside of a callback']) {
    const line = `error plugin "bad": ${callback}: something was thrown that cannot be shown`;
    await expect.poll(() => lines, SOON).toContain(line);
  }
  expect(plugin()).toMatchObject({ state: 'running' });
});

it('numbers out of range are refused before they reach the kernel, with the argument and the value', async () => {
  await start(`
    const end = { address: '10.0.0.1', port: 0 };
    const { kernel, userspace, listeners } = context;
    const wrong = [
      () => kernel.addAddress({ address: '127.0.0.9', port: 65536 }),
      () => kernel.addAddress({ address: '127.0.0.9', flags: 2 ** 32 }),
      () => kernel.addAddress(null),
      () => kernel.removeAddress(257),
      () => kernel.setLimits({ subflows: -1 }),
      () => userspace.addSubflow({ token: 2 ** 33, local: end, remote: end, localId: 1, remoteId: 0 }),
      () => userspace.addSubflow({ token: 1, local: end, remote: end, localId: 256, remoteId: 0 }),
      () => userspace.removeSubflow({ token: 1, local: end }),
      () => listeners.listen({ address: '127.0.0.1', port: 1.5 }),
    ];
    (async () => {
      for (const work of wrong) await work().then(() => log.info('done'), (error) => log.info(error.message));
      log.info('end');
    })();`);
  await expect.poll(() => lines, SOON).toContain('info end');
  expect(lines.slice(0, -1).map((line) => line.replace(/ — .*/, ''))).toEqual([
    'info "65536" is no port',
    'info "4294967296" is no flags',
    'info "null" is no endpoint',
    'info "257" is not an address id',
    'info "-1" is no subflows',
    'info "8589934592" is no token',
    'info "256" is no localId',
    'info "undefined" is no remote',
    'info "1.5" is no local port',
  ]);
});

it('does not signal the daemon by a slip', async () => {
  await start(`
    for (const pid of [process.pid, 0, -1]) {
      try { process.kill(pid, 0); log.info('done'); } catch (error) { log.info(error.message); }
    }`);
  await expect.poll(() => lines, SOON).toHaveLength(3);
  expect(new Set(lines)).toEqual(new Set(['info a plugin may not signal the daemon']));
});
