/**
 * PathDaemon itself: where it does not start and why, what it does without privileges, what a reload changes, what it
 * takes over from one that was killed. On the loopback of this test's own namespace, and a veth in another.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import { connectFd } from '../src/mptcp/connect.ts';
import { createServer, MptcpSocket, PathManager, writeSysctl, type MptcpServer } from '../src/mptcp/index.ts';
import { addNamespace, deleteNamespace, inNamespace, namespacePath } from '../src/native/index.ts';
import { RouteNetlink } from '../src/netlink/index.ts';
import {
  OWNS_NOTHING,
  type DaemonEvent,
  type Ownership,
  type OwnershipJournal,
  PathDaemon,
  type PathDaemonOptions,
  type Plugin,
} from '../src/pathmanager/index.ts';
import { bundleTypeScript } from './support/bundle.ts';
import { startPathDaemon } from './support/daemon.ts';

const SOON = { interval: 5, timeout: 20_000 };
const NODE = 'weft-pathd';
const netns = namespacePath(NODE);

const lines: string[] = [];
const daemons: PathDaemon[] = [];
const sockets: Socket[] = [];
let server: MptcpServer;
let route: RouteNetlink;
let manager: PathManager;

beforeAll(async () => {
  addNamespace(NODE);
  route = RouteNetlink.open({ netns });
  manager = PathManager.open({ netns });
  route.setLink(route.linkByName('lo')!.index, { up: true });
  route.addLink({ name: 'e1', kind: 'veth', peer: { name: 'e2' } });
  for (const name of ['e1', 'e2']) route.setLink(route.linkByName(name)!.index, { up: true });
  route.addAddress({ linkIndex: route.linkByName('e1')!.index, address: '10.77.1.1', prefixLength: 24 });
  server = await inNamespace(netns, () =>
    createServer({ host: '10.77.1.1' }, (socket) => sockets.push(socket)),
  );
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop();
  for (const socket of sockets.splice(0)) if (!socket.closed) await once(socket.destroy(), 'close');
  manager.flushEndpoints();
  manager.setLimits({ addAddrAccepted: 0, subflows: 2 });
  lines.length = 0;
});
afterAll(async () => {
  await new Promise((resolve) => void server.close(resolve));
  manager.close();
  route.close();
  deleteNamespace(NODE);
});

async function start(options: Partial<PathDaemonOptions> = {}): Promise<PathDaemon> {
  const daemon = await startPathDaemon(lines, { netns, loadPlugins: ['addr_adv'], ...options });
  daemons.push(daemon);
  return daemon;
}

async function connect(): Promise<void> {
  const { port } = server.address() as AddressInfo;
  const connecting = inNamespace(netns, () => connectFd({ address: '10.77.1.1', port }));
  const socket = new MptcpSocket(await connecting);
  sockets.push(socket);
  socket.write('x');
}

const withRecord = (record: { current: Ownership }): OwnershipJournal => ({
  load: () => record.current,
  save: (ownership) => {
    record.current = ownership;
  },
});

it('does not start where MPTCP is off, in mptcpd’s words', async () => {
  writeSysctl('enabled', false, { netns });
  await expect(start()).rejects.toMatchObject({
    code: 'MPTCP_DISABLED',
    lines: [
      'MPTCP is not enabled in the kernel.',
      "Try 'sysctl -w net.mptcp.enabled=1'.",
      'Required kernel MPTCP support not available.',
    ],
  });
  writeSysctl('enabled', true, { netns });
});

it('makes endpoints of addresses, tells who watches, and removes them at its end', async () => {
  const daemon = await start({ addressFlags: 2 });
  expect(manager.endpoints()).toMatchObject([{ address: '10.77.1.1', flags: 2 }]);
  const status = daemon.status();
  expect(status).toMatchObject({
    listening: true,
    defaultPlugin: 'addr_adv',
    plugins: [{ name: 'addr_adv', origin: 'shipped', state: 'running', registered: ['addr_adv'] }],
    endpoints: [{ address: '10.77.1.1' }],
    limits: { subflows: 3, addAddrAccepted: 3 },
  });
  expect(status.ownEndpointIds).toEqual([status.endpoints[0]!.id]);
  expect(status.interfaces.find(({ name }) => name === 'e1')?.addresses).toContainEqual(
    expect.objectContaining({
      address: '10.77.1.1',
      verdict: 'announced',
      endpoint: expect.objectContaining({ state: 'own' }),
    }),
  );
  const events: DaemonEvent[] = [];
  const unwatch = daemon.watch((event) => events.push(event));
  const linkIndex = route.linkByName('e1')!.index;
  route.addAddress({ linkIndex, address: '10.77.1.2', prefixLength: 24 });
  await expect.poll(() => manager.endpoints().length, SOON).toBe(2);
  await connect();
  await expect
    .poll(() => events, SOON)
    .toContainEqual(expect.objectContaining({ kind: 'mptcp', event: 'connectionEstablished' }));
  expect(events).toContainEqual(
    expect.objectContaining({ kind: 'network', event: 'newLocalAddress', address: '10.77.1.2' }),
  );
  expect(events).toContainEqual(
    expect.objectContaining({ kind: 'endpoint', action: 'added', address: '10.77.1.2' }),
  );
  unwatch();
  const seen = events.length;
  route.deleteAddress({ linkIndex, address: '10.77.1.2', prefixLength: 24 });
  await expect.poll(() => manager.endpoints().length, SOON).toBe(1);
  expect(events).toHaveLength(seen);
  await daemon.stop();
  expect(manager.endpoints()).toEqual([]);
  expect(manager.limits()).toEqual({ addAddrAccepted: 0, subflows: 2 });
});

it('follows a reload: flags, the default plugin, and plugins that have settings begin anew', async () => {
  const heard: string[] = [];
  const make = (name: string): Plugin => ({
    name,
    async init(context) {
      const { colour } = context.settings;
      if (name === 'one') await context.kernel.addAddress({ address: '10.77.1.60', flags: 1 });
      if (colour === 'wrong') throw new Error('no such colour');
      context.register({
        newConnection: ({ adopted }) => void heard.push(`${name} ${colour} ${adopted}`),
        newInterface: ({ interface: { name: link } }) => void heard.push(`${name} ${colour} ${link}`),
      });
    },
    exit: () => void heard.push(`${name} exit`),
  });
  const options = { plugins: [make('one'), make('two')], addressFlags: 2, loadPlugins: ['addr_adv'] };
  const colours = (colour: string) => new Map([['one', { colour }]]);
  const daemon = await start({ ...options, pathManager: 'one', pluginSettings: colours('red') });
  const reload = (more: Partial<PathDaemonOptions>) =>
    daemon.reload({
      ...options,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      notify: { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false },
      rules: [],
      pluginSettings: colours('red'),
      journal: { load: () => OWNS_NOTHING, save: () => {} },
      keepEndpoints: false,
      ...more,
    });
  await connect();
  await expect.poll(() => heard.filter((text) => text === 'one red false').length, SOON).toBe(2);
  heard.length = 0;

  await reload({ pathManager: 'one', pluginSettings: colours('blue'), addressFlags: 6 });
  // The plugin's own is kept for its new self.
  const endpoints = [
    { address: '10.77.1.60', id: manager.endpoints()[0]!.id },
    { address: '10.77.1.1', flags: 6 },
  ];
  expect(manager.endpoints()).toMatchObject(endpoints);
  // Told anew of what there is; the other plugin stays.
  expect(heard.splice(1, 2).sort()).toEqual(['one blue e1', 'one blue e2']);
  expect(heard).toEqual(['one exit', 'one blue true', 'one blue true']);
  heard.length = 0;

  // The old one stays where the new one does not begin.
  await reload({ pathManager: 'one', pluginSettings: colours('wrong'), addressFlags: 6 });
  expect(lines).toContain('error plugin "one": init: no such colour');
  expect(heard).toEqual([]);
  expect(manager.endpoints()).toMatchObject(endpoints);
  await connect();
  await expect.poll(() => heard, SOON).toEqual(['one blue false', 'one blue false']);

  await reload({ pathManager: 'two', pluginSettings: colours('wrong') });
  await connect();
  await expect.poll(() => heard, SOON).toContain('two undefined false');
});

it('takes over what a killed one left, its plugins’ endpoints too', async () => {
  const record = { current: OWNS_NOTHING };
  const holder: Plugin = {
    name: 'holder',
    async init(context) {
      context.register({});
      await context.kernel.addAddress({ address: '10.77.1.50', flags: 1 });
      await context.kernel.addAddress({ address: '10.77.1.51', flags: 1 });
    },
  };
  const options = { addressFlags: 2, journal: withRecord(record) };
  await start({ ...options, plugins: [holder], keepEndpoints: true });
  // Forgotten rather than stopped: as it is after kill -9.
  const left = manager.endpoints();
  expect(left.map(({ address }) => address).sort()).toEqual(['10.77.1.1', '10.77.1.50', '10.77.1.51']);
  expect(record.current.endpoints).toHaveLength(3);
  const killed = { current: structuredClone(record.current) };
  await daemons.pop()!.stop();
  expect(manager.endpoints()).toEqual(left);

  const again: Plugin = {
    name: 'again',
    async init(context) {
      context.register({});
      await context.kernel.addAddress({ address: '10.77.1.51', flags: 1 });
    },
  };
  manager.addEndpoint({ address: '10.77.1.99', flags: 1 });
  await start({ ...options, journal: withRecord(killed), plugins: [again] });
  // The same endpoints under the same ids; what nobody wants is gone; another program's stays.
  expect(manager.endpoints()).toEqual([
    ...left.filter(({ address }) => address !== '10.77.1.50'),
    expect.objectContaining({ address: '10.77.1.99' }),
  ]);
  await daemons.pop()!.stop();
  expect(manager.endpoints()).toMatchObject([{ address: '10.77.1.99' }]);
});

it('without addr_adv removes what a killed one left', async () => {
  manager.addEndpoint({ address: '10.77.1.1', id: 3, flags: 2 });
  const record = {
    current: { endpoints: [{ address: '10.77.1.1', id: 3, flags: 2, linkIndex: 0 }], limits: {} },
  };
  await start({ loadPlugins: ['sspi'], journal: withRecord(record) });
  expect(manager.endpoints()).toEqual([]);
  expect(record.current.endpoints).toEqual([]);
});

it('may be stopped while it starts, and reloaded while it is reloaded', async () => {
  const begun: string[] = [];
  const waiting = (name: string): Plugin => ({
    name,
    async init(context) {
      begun.push(name);
      context.register({});
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    },
  });
  const options = {
    logger: silentLogger,
    netns,
    addressFlags: 2,
    notify: { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false },
    rules: [],
    journal: { load: () => OWNS_NOTHING, save: () => {} },
    keepEndpoints: false,
    loadPlugins: ['addr_adv'],
    plugins: [waiting('one'), waiting('two')],
    pluginSettings: new Map([['one', {}]]),
  };
  const stopped = new PathDaemon(options);
  const starting = stopped.start();
  await expect.poll(() => begun, SOON).toEqual(['one']);
  await stopped.stop();
  await starting;
  expect(begun).toEqual(['one']);
  expect(stopped.status()).toMatchObject({ plugins: [], listening: false });
  expect(manager.endpoints()).toEqual([]);

  const daemon = new PathDaemon(options);
  daemons.push(daemon);
  await daemon.start();
  const reloads = [daemon.reload(options), daemon.reload(options)];
  await daemon.stop();
  await Promise.all(reloads);
  expect(begun).toEqual(['one', 'one', 'two', 'one', 'one']);
  expect(manager.endpoints()).toEqual([]);
});

it('stays without CAP_NET_ADMIN, and says what that means', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-pathd-'));
  const entry = join(folder, 'child.ts');
  const support = new URL('support/daemon.ts', import.meta.url).pathname;
  writeFileSync(
    entry,
    `import { startPathDaemon } from '${support}';
     const lines = [];
     const daemon = await startPathDaemon(lines, { addressFlags: 2 });
     const { listening, plugins } = daemon.status();
     console.log(JSON.stringify({ listening, plugins: plugins.map(({ name, state }) => [name, state]), lines }));
     await daemon.stop();`,
  );
  const program = await bundleTypeScript(new URL(`file://${entry}`));
  const child = spawn(
    'ip',
    [
      'netns',
      'exec',
      NODE,
      'setpriv',
      '--bounding-set',
      '-all',
      '--inh-caps',
      '-all',
      process.execPath,
      program,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await once(child, 'close');
  const told = JSON.parse(output) as { listening: boolean; plugins: unknown; lines: string[] };
  expect(told).toMatchObject({
    listening: false,
    plugins: expect.arrayContaining([['addr_adv', 'running']]) as unknown,
  });
  expect(told.lines).toContainEqual(expect.stringMatching(/^error .*Operation not permitted/));
  rmSync(folder, { recursive: true });
});
