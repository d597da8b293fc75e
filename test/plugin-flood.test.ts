/**
 * The daemon where connections come faster than they are read, were there before it, or come by the ten thousand; and
 * what is left when it has gone. On the loopback of a namespace of its own.
 *
 * Connections are begun without a turn of the event loop between them, so that the daemon, which is in this process,
 * cannot read meanwhile: as if it had been stopped.
 */
import { readdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { listConnections, openStreamSocket, PathManager } from '../src/mptcp/index.ts';
import {
  acceptFrom,
  addNamespace,
  bindSocket,
  closeFd,
  deleteNamespace,
  inNamespace,
  listenOn,
  localAddressOf,
  namespacePath,
  startConnect,
} from '../src/native/index.ts';
import { RouteNetlink } from '../src/netlink/index.ts';
import type { DaemonEvent, PathDaemon, PathDaemonOptions, Plugin } from '../src/pathmanager/index.ts';
import { startPathDaemon } from './support/daemon.ts';

const SOON = { interval: 5, timeout: 50_000 };
const NODE = 'weft-flood';
const netns = namespacePath(NODE);

let listener: number;
let port: number;
const lines: string[] = [];
const daemons: PathDaemon[] = [];
/** Of both ends. */
const open = new Set<number>();

beforeAll(() => {
  addNamespace(NODE);
  const route = RouteNetlink.open({ netns });
  route.setLink(route.linkByName('lo')!.index, { up: true });
  route.close();
});
afterAll(() => deleteNamespace(NODE));

beforeEach(() => {
  listener = inNamespace(netns, () => openStreamSocket(2).fd);
  bindSocket(listener, { address: '127.0.0.1', port: 0 });
  listenOn(listener, 4096);
  port = localAddressOf(listener)!.port;
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop();
  closeAll();
  closeFd(listener);
  lines.length = 0;
});

/** @returns the ends that connected */
function connectMany(count: number): number[] {
  const clients: number[] = [];
  inNamespace(netns, () => {
    for (let i = 0; i < count; i++) {
      const { fd } = openStreamSocket(2);
      clients.push(fd);
      open.add(fd);
      startConnect(fd, { address: '127.0.0.1', port });
    }
  });
  // The kernel does it in its own time, on another processor.
  for (let accepted = 0; accepted < count;) {
    const fd = acceptFrom(listener);
    if (fd === undefined) continue;
    open.add(fd);
    accepted++;
  }
  return clients;
}

function closeAll(): void {
  for (const fd of open) closeFd(fd);
  open.clear();
}

/** Which connections a plugin believes there are. */
class Believer {
  readonly tokens = new Set<number>();
  adopted = 0;
  /** Told of what it knew, or of the end of what it did not know. */
  readonly surprises: string[] = [];
  readonly plugin: Plugin = {
    name: 'believer',
    init: (context) =>
      context.register({
        newConnection: ({ token, adopted }) => {
          if (this.tokens.has(token)) this.surprises.push(`twice ${token}`);
          this.tokens.add(token);
          if (adopted) this.adopted++;
        },
        connectionClosed: ({ token }) => {
          if (!this.tokens.delete(token)) this.surprises.push(`unknown ${token}`);
        },
      }),
  };
}

const inKernel = () =>
  new Set(
    listConnections({ netns })
      .filter((one) => one.inode !== 0)
      .map((one) => one.token),
  );

async function start(options: Partial<PathDaemonOptions>): Promise<PathDaemon> {
  const daemon = await startPathDaemon(lines, { netns, loadPlugins: [], ...options });
  daemons.push(daemon);
  return daemon;
}

it('adopts the connections that there are', async () => {
  connectMany(50);
  const believer = new Believer();
  const daemon = await start({ plugins: [believer.plugin] });
  expect(believer.tokens).toEqual(inKernel());
  expect(believer).toMatchObject({ adopted: 100, surprises: [] });
  expect(daemon.status()).toMatchObject({ connections: 100, adopted: { connectionsOpened: 100 } });
  closeAll();
  await expect.poll(() => believer.tokens.size, SOON).toBe(0);
  expect(believer.surprises).toEqual([]);
  expect(daemon.status().connections).toBe(0);
});

it('does not adopt what its program has closed, though the kernel still has it', async () => {
  for (const fd of connectMany(5)) {
    closeFd(fd);
    open.delete(fd);
  }
  // The other ends are open, so that the closed ones have to wait for them.
  expect(listConnections({ netns })).toHaveLength(10);
  const believer = new Believer();
  await start({ plugins: [believer.plugin] });
  expect(believer.tokens).toEqual(inKernel());
  expect(believer.tokens.size).toBe(5);
});

it('tells which end an adopted connection is', async () => {
  connectMany(1);
  const sides: [number, boolean][] = [];
  const plugin: Plugin = {
    name: 'sides',
    init: (context) =>
      context.register({
        newConnection: ({ local, serverSide }) => void sides.push([local.port, serverSide]),
      }),
  };
  await start({ plugins: [plugin] });
  expect(sides.sort((a, b) => Number(a[1]) - Number(b[1]))).toEqual([
    [expect.any(Number), false],
    [port, true],
  ]);
  expect(sides[0]![0]).not.toBe(port);
});

it('finds what it could not hear: begun, ended, begun and ended', async () => {
  const believer = new Believer();
  const events: DaemonEvent[] = [];
  const daemon = await start({ plugins: [believer.plugin], eventBufferBytes: 4096 });
  daemon.watch((event) => events.push(event));

  connectMany(2000);
  await expect.poll(() => daemon.status().counters.resynchronisations, SOON).toBeGreaterThan(0);
  await expect.poll(() => believer.tokens, SOON).toEqual(inKernel());
  expect(believer.tokens.size).toBe(4000);
  const { counters, recovered } = daemon.status();
  expect(counters.mptcpOverruns).toBeGreaterThan(0);
  expect(recovered.connectionsOpened).toBeGreaterThan(3000);
  expect(events.map((event) => event.kind)).toContain('overrun');
  expect(events.map((event) => event.kind)).toContain('resynchronised');
  expect(lines.filter((line) => line.startsWith('warn the kernel dropped MPTCP events'))).toHaveLength(
    counters.resynchronisations,
  );

  closeAll();
  connectMany(300);
  closeAll();
  connectMany(10);
  await expect.poll(() => believer.tokens, SOON).toEqual(inKernel());
  expect(believer.tokens.size).toBe(20);
  expect(daemon.status().connections).toBe(20);
  expect(believer.surprises).toEqual([]);

  // And it hears as before.
  closeAll();
  await expect.poll(() => believer.tokens.size, SOON).toBe(0);
  connectMany(1);
  await expect.poll(() => believer.tokens.size, SOON).toBe(2);
});

/** A listener that comes and goes, of which events tell in their turn. */
function beckon(): void {
  const { fd } = inNamespace(netns, () => openStreamSocket(2));
  bindSocket(fd, { address: '127.0.0.1', port: 0 });
  listenOn(fd, 1);
  closeFd(fd);
}

/** So many connections, and the daemon has heard of all of them. */
async function comeAndGo(daemon: PathDaemon, count: number): Promise<void> {
  connectMany(count);
  closeAll();
  beckon();
  await new Promise<void>((resolve) => {
    const unwatch = daemon.watch((event) => {
      if (event.kind !== 'mptcp' || event.event !== 'listenerClosed') return;
      unwatch();
      resolve();
    });
  });
  await expect.poll(() => daemon.status().connections, SOON).toBe(0);
}

it('is not misled by what it heard of connections whose end it could not hear', async () => {
  const believer = new Believer();
  const daemon = await start({ plugins: [believer.plugin], eventBufferBytes: 4096 });
  // The beginnings of the first still wait when the rest is lost.
  connectMany(300);
  closeAll();
  await expect.poll(() => daemon.status().counters.resynchronisations, SOON).toBeGreaterThan(0);
  await expect.poll(() => believer.tokens.size, SOON).toBe(0);
  expect(daemon.status()).toMatchObject({ connections: 0 });
  expect(daemon.status().counters.mptcpEvents).toBeGreaterThan(0);
});

it('holds no memory of 20,000 connections that came and went', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const believer = new Believer();
  const daemon = await start({ plugins: [believer.plugin] });
  await comeAndGo(daemon, 500);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 40; i++) await comeAndGo(daemon, 500);
  expect(daemon.status()).toMatchObject({ connections: 0, counters: { mptcpOverruns: 0 } });
  expect(believer.tokens.size).toBe(0);
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(1 << 20);
});

it('brings a plugin up to date that was too slow in its own thread', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-slow-'));
  writeFileSync(
    join(folder, 'slow.mjs'),
    `import { existsSync } from 'node:fs';
     const GO_ON = ${JSON.stringify(join(folder, 'go-on'))};
     const known = new Set();
     let first = true;
     export default { name: 'slow', init(context) { context.register({
       newConnection({ token }) {
         known.add(token);
         // Slow, not dead: until it may go on.
         while (first && !existsSync(GO_ON));
         first = false;
       },
       connectionClosed({ token }) { known.delete(token); },
       listenerClosed() { context.log.info('knows ' + [...known].sort((a, b) => a - b).join()); },
     }); } };`,
  );
  const daemon = await start({ pluginDirectory: folder, loadPlugins: ['slow'], callbackBudgetMs: 50_000 });
  const slow = () => daemon.status().plugins[0]!;
  // More than may wait for it: 5,000 times four.
  for (let i = 0; i < 10; i++) await comeAndGo(daemon, 500);
  connectMany(7);
  await expect.poll(() => slow().callbacks.dropped, SOON).toBeGreaterThan(0);
  writeFileSync(join(folder, 'go-on'), '');
  await expect.poll(() => daemon.status().connections, SOON).toBe(14);
  const askIt = () => {
    beckon();
    return lines.findLast((line) => line.startsWith('info knows'));
  };
  const truth = `info knows ${[...inKernel()].sort((a, b) => a - b).join()}`;
  await expect.poll(askIt, { interval: 50, timeout: 50_000 }).toBe(truth);
  expect(slow().state).toBe('running');
  expect(lines.filter((line) => line.includes('is brought up to date'))).not.toEqual([]);
  rmSync(folder, { recursive: true });
});

it('leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-leave-'));
  writeFileSync(
    join(folder, 'holder.mjs'),
    `export default { name: 'holder', async init(context) {
       context.register({});
       await context.kernel.addAddress({ address: '127.0.0.7', flags: 1 });
       await context.listeners.listen({ address: '127.0.0.1', port: 0 });
       await context.kernel.setLimits({ subflows: 2 });
     } };`,
  );
  const manager = PathManager.open({ netns });
  const state = () => ({
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    endpoints: manager.endpoints(),
    limits: manager.limits(),
  });
  const once = async () => {
    const daemon = await start({ pluginDirectory: folder, loadPlugins: ['addr_adv', 'sspi', 'holder'] });
    expect(manager.endpoints()).toHaveLength(1);
    await daemon.stop();
  };
  await once();
  const before = state();
  for (let i = 0; i < 20; i++) await once();
  await expect.poll(state, SOON).toEqual(before);
  manager.close();
  rmSync(folder, { recursive: true });
});
