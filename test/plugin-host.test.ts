/**
 * What plugins are told and what their commands do, with the real kernel. The hosts and their two links are those of
 * support/two-hosts.ts; the daemon runs on `a`, which connects, and `b` only follows.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectFd } from '../src/mptcp/connect.ts';
import {
  createServer,
  EventType,
  listConnections,
  MptcpSocket,
  watchMptcpEvents,
  writeSysctl,
  type MptcpEvent,
  type MptcpServer,
} from '../src/mptcp/index.ts';
import type {
  ConnectionEvent,
  DaemonEvent,
  PathDaemon,
  PathDaemonOptions,
  Plugin,
  PluginCallbackName,
  PluginContext,
  SubflowEvent,
} from '../src/pathmanager/index.ts';
import { startPathDaemon } from './support/daemon.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';

/** For what the kernel does in its own time: looks often, gives up only when it will never be. */
const SOON = { interval: 5, timeout: 20_000 };

let hosts: TwoHosts;
let server: MptcpServer;
let eventsOfB: { close(): void };
const seenByB: MptcpEvent[] = [];
const accepted: Socket[] = [];
const connected: Socket[] = [];
const daemons: PathDaemon[] = [];
const lines: string[] = [];

beforeAll(async () => {
  hosts = makeTwoHosts('weft-plugins');
  server = await hosts.onB(() => createServer({}, (socket) => accepted.push(socket)));
  eventsOfB = watchMptcpEvents(
    { onEvent: (event) => seenByB.push(event), onOverrun: () => expect.unreachable() },
    { netns: hosts.netnsB },
  );
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop();
  const sockets = [...accepted.splice(0), ...connected.splice(0)].filter((socket) => !socket.closed);
  await Promise.all(sockets.map((socket) => once(socket.destroy(), 'close')));
  hosts.ipA('mptcp', 'endpoint', 'flush');
  hosts.ipB('mptcp', 'endpoint', 'flush');
  writeSysctl('path_manager', 'kernel', { netns: hosts.netnsA });
  lines.length = 0;
  seenByB.length = 0;
});
afterAll(async () => {
  eventsOfB.close();
  await new Promise((resolve) => server.close(resolve));
  hosts.remove();
});

async function start(options: Partial<PathDaemonOptions>): Promise<PathDaemon> {
  const daemon = await startPathDaemon(lines, { netns: hosts.netnsA, loadPlugins: [], ...options });
  daemons.push(daemon);
  return daemon;
}

async function connect(to = '10.9.1.2'): Promise<MptcpSocket> {
  const { port } = server.address() as AddressInfo;
  const socket = new MptcpSocket(await hosts.onA(() => connectFd({ address: to, port })));
  connected.push(socket);
  // The other end knows after the first data that it is fully established.
  socket.write('x');
  return socket;
}

const CALLBACKS: readonly PluginCallbackName[] = [
  'ready',
  'newConnection',
  'connectionEstablished',
  'connectionClosed',
  'newAddress',
  'addressRemoved',
  'newSubflow',
  'subflowClosed',
  'subflowPriority',
  'listenerCreated',
  'listenerClosed',
  'newInterface',
  'updateInterface',
  'deleteInterface',
  'newLocalAddress',
  'deleteLocalAddress',
];

/** Tells in the log everything that it is told; the text of a plugin's file. */
const RECORDER = `{
  name: 'recorder',
  init(context) {
    const tell = (name) => (event) => context.log.info('heard ' + JSON.stringify([name, event ?? null]));
    context.register(Object.fromEntries(${JSON.stringify(CALLBACKS)}.map((name) => [name, tell(name)])));
  },
}`;

type Heard = readonly [PluginCallbackName, Record<string, unknown>];

const heard = () =>
  lines
    .filter((line) => line.startsWith('info heard '))
    .map((line) => JSON.parse(line.slice('info heard '.length)) as Heard);

const heardOf = (name: PluginCallbackName) =>
  heard()
    .filter(([callback]) => callback === name)
    .map(([, event]) => event);

/** The first event of that name, which may still have to come. */
async function waitFor(name: PluginCallbackName, like: object = {}): Promise<Record<string, unknown>> {
  await expect.poll(() => heardOf(name), SOON).toContainEqual(expect.objectContaining(like));
  return heardOf(name).at(-1)!;
}

describe.each(['in the daemon’s thread', 'in a thread of its own'])('a plugin %s is told', (where) => {
  let folder: string | undefined;

  async function startRecorder(): Promise<void> {
    if (where === 'in the daemon’s thread') {
      // The same text as the file's.
      const url = `data:text/javascript,${encodeURIComponent(`export default ${RECORDER}`)}`;
      const { default: plugin } = (await import(url)) as { readonly default: Plugin };
      await start({ plugins: [plugin], pathManager: 'recorder' });
      return;
    }
    folder = mkdtempSync(join(tmpdir(), 'weft-plugin-'));
    writeFileSync(join(folder, 'recorder.mjs'), `export default ${RECORDER};`);
    await start({ pluginDirectory: folder, loadPlugins: ['recorder'] });
  }
  afterEach(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true });
    folder = undefined;
  });

  it.each([
    { family: 'IPv4', to: '10.9.1.2', from: '10.9.1.1', second: ['10.9.2.1', '10.9.2.2'] },
    { family: 'IPv6', to: 'fd09:1::2', from: 'fd09:1::1', second: ['fd09:2::1', 'fd09:2::2'] },
  ])('everything of a connection over $family', async ({ to, from, second }) => {
    const [local, remote] = second as [string, string];
    const { port } = server.address() as AddressInfo;
    await startRecorder();
    hosts.ipB('mptcp', 'endpoint', 'add', remote, 'id', '7', 'signal');
    const socket = await connect(to);
    const created = await waitFor('newConnection', { local: { address: from, port: socket.localPort } });
    expect(created).toEqual({
      token: expect.any(Number),
      local: { address: from, port: socket.localPort },
      remote: { address: to, port },
      serverSide: false,
      denyJoinId0: false,
      adopted: false,
    });
    const { token } = created;
    expect(await waitFor('connectionEstablished', { token })).toEqual(created);
    expect(await waitFor('newAddress', { token })).toEqual({
      token,
      remoteId: 7,
      address: remote,
      port,
    });
    const subflow = await waitFor('newSubflow', { token });
    expect(subflow).toEqual({
      token,
      local: { address: local, port: expect.any(Number) },
      remote: { address: remote, port },
      localId: expect.any(Number),
      remoteId: 7,
      backup: false,
      adopted: false,
    });
    hosts.ipB('mptcp', 'endpoint', 'change', 'id', '7', 'backup');
    expect(await waitFor('subflowPriority', { token })).toEqual({ ...subflow, backup: true });
    hosts.ipB('mptcp', 'endpoint', 'delete', 'id', '7');
    expect(await waitFor('addressRemoved', { token })).toEqual({ token, remoteId: 7 });
    expect(await waitFor('subflowClosed', { token })).toMatchObject({
      local: subflow.local,
      remote: subflow.remote,
      error: expect.any(Number),
    });
    socket.destroy();
    expect(await waitFor('connectionClosed', { token })).toEqual({ token });
  });

  it('of a connection to a dual-stack listener with plain IPv4 addresses', async () => {
    await startRecorder();
    const onA = await hosts.onA(() => createServer({ host: '::' }, (socket) => accepted.push(socket)));
    await waitFor('listenerCreated', {
      local: { address: '::', port: (onA.address() as AddressInfo).port },
    });
    const client = new MptcpSocket(
      await hosts.onB(() => connectFd({ address: '10.9.1.1', port: (onA.address() as AddressInfo).port })),
    );
    connected.push(client);
    client.write('x');
    expect(await waitFor('connectionEstablished')).toMatchObject({
      local: { address: '10.9.1.1' },
      remote: { address: '10.9.1.2' },
      serverSide: true,
    });
    await new Promise((resolve) => {
      onA.close(resolve);
      for (const socket of [...accepted, client]) socket.destroy();
    });
    await waitFor('listenerClosed');
  });

  it('of a connection that was there before it, with its subflows', async () => {
    hosts.ipB('mptcp', 'endpoint', 'add', '10.9.2.2', 'id', '7', 'signal');
    const socket = await connect();
    const subflows = () => listConnections({ netns: hosts.netnsA })[0]?.subflows ?? [];
    await expect
      .poll(() => subflows().map(({ state }) => state), SOON)
      .toEqual(['established', 'established']);
    await startRecorder();
    const created = await waitFor('newConnection');
    expect(created).toMatchObject({
      local: { address: '10.9.1.1', port: socket.localPort },
      serverSide: false,
      adopted: true,
    });
    const { token } = created;
    expect(await waitFor('connectionEstablished')).toEqual(created);
    expect(await waitFor('newSubflow')).toMatchObject({
      token,
      local: { address: '10.9.2.1' },
      remote: { address: '10.9.2.2' },
      remoteId: 7,
      adopted: true,
    });
    socket.destroy();
    await waitFor('connectionClosed', { token });
    for (const name of ['newConnection', 'connectionEstablished', 'newSubflow'] as const) {
      expect(heardOf(name)).toHaveLength(1);
    }
  });

  it('of interfaces and addresses', async () => {
    await startRecorder();
    await waitFor('ready');
    const found = heardOf('newLocalAddress').map((event) => (event.address as { address: string }).address);
    expect(found.sort()).toEqual(['10.9.1.1', '10.9.2.1', 'fd09:1::1', 'fd09:2::1']);
    hosts.ipA('link', 'add', 'd1', 'type', 'veth', 'peer', 'name', 'd2');
    for (const link of ['d1', 'd2']) hosts.ipA('link', 'set', link, 'up');
    expect(
      await waitFor('newInterface', { interface: expect.objectContaining({ name: 'd1' }) }),
    ).toMatchObject({
      interface: { name: 'd1', kind: 'veth', index: expect.any(Number), flags: expect.any(Number) },
    });
    hosts.ipA('addr', 'add', '10.9.77.1/24', 'dev', 'd1');
    expect(
      await waitFor('newLocalAddress', { address: expect.objectContaining({ address: '10.9.77.1' }) }),
    ).toMatchObject({
      interface: { name: 'd1' },
      address: { address: '10.9.77.1', prefixLength: 24, scope: 0 },
    });
    hosts.ipA('link', 'set', 'd1', 'mtu', '1400');
    hosts.ipA('addr', 'del', '10.9.77.1/24', 'dev', 'd1');
    await waitFor('deleteLocalAddress', { address: expect.objectContaining({ address: '10.9.77.1' }) });
    hosts.ipA('link', 'delete', 'd1');
    await waitFor('deleteInterface', { interface: expect.objectContaining({ name: 'd1' }) });
  });
});

/** Starts a plugin that only hands out its context, and what it hears of connections. */
async function contextOf(options: Partial<PathDaemonOptions> = {}) {
  let context: PluginContext | undefined;
  const subflows: SubflowEvent[] = [];
  const connections: ConnectionEvent[] = [];
  const closed: SubflowEvent[] = [];
  const plugin: Plugin = {
    name: 'commander',
    init(given) {
      context = given;
      given.register({
        connectionEstablished: (event) => void connections.push(event),
        newSubflow: (event) => void subflows.push(event),
        subflowClosed: (event) => void closed.push(event),
      });
    },
  };
  const daemon = await start({ plugins: [plugin], ...options });
  return { daemon, context: context!, subflows, connections, closed };
}

describe('commands', () => {
  it('to the path manager in the kernel', async () => {
    const { daemon, context } = await contextOf();
    const { kernel } = context;
    const events: DaemonEvent[] = [];
    daemon.watch((event) => events.push(event));
    hosts.ipA('mptcp', 'endpoint', 'add', '10.9.1.9', 'id', '1', 'signal');
    // The next free one beside the other program's.
    const id = await kernel.addAddress({ address: '10.9.2.1', flags: 2, linkIndex: 1 });
    expect(id).toBe(2);
    expect(await kernel.address(2)).toEqual({
      address: '10.9.2.1',
      id: 2,
      port: 0,
      flags: 2,
      linkIndex: 1,
    });
    // A port sets signal.
    expect(await kernel.addAddress({ address: '10.9.1.1', id: 9, port: 7001 })).toBe(9);
    expect((await kernel.addresses()).map((endpoint) => [endpoint.id, endpoint.flags])).toEqual([
      [1, 1],
      [2, 2],
      [9, 1],
    ]);
    await kernel.setFlags('10.9.2.1', 4);
    expect((await kernel.address(2)).flags).toBe(6);
    await kernel.setLimits({ subflows: 5 });
    expect(await kernel.limits()).toEqual({ addAddrAccepted: 8, subflows: 5 });
    await expect(kernel.addAddress({ address: '10.9.2.1', flags: 2 })).rejects.toThrow(
      /^add endpoint 10.9.2.1: /,
    );
    await expect(kernel.removeAddress(200)).rejects.toThrow('address not found');
    await kernel.removeAddress(2);
    expect(events.filter((event) => event.kind === 'endpoint')).toMatchObject([
      { action: 'added', address: '10.9.2.1', id: 2, flags: 2 },
      { action: 'added', address: '10.9.1.1', id: 9 },
      { action: 'removed', address: '10.9.2.1', id: 2 },
    ]);
    await daemon.stop();
    // Its own are gone, the other program's is not.
    expect(hosts.ipA('mptcp', 'endpoint', 'show')).toBe('10.9.1.9 id 1 signal \n');
    hosts.ipA('mptcp', 'limits', 'set', 'subflows', '8');
  });

  it('to the userspace path manager', async () => {
    writeSysctl('path_manager', 'userspace', { netns: hosts.netnsA });
    hosts.ipB('mptcp', 'limits', 'set', 'add_addr_accepted', '0');
    const { daemon, context, subflows, connections, closed } = await contextOf();
    const { port } = server.address() as AddressInfo;
    await connect();
    await expect.poll(() => connections.length, SOON).toBe(1);
    const { token } = connections[0]!;

    // Announced with a listener, whose port the peer is told.
    const announced = await context.userspace.addAddress({ token, address: '10.9.2.1', id: 5 });
    expect(announced).toBeGreaterThan(0);
    await expect
      .poll(() => seenByB, SOON)
      .toContainEqual(
        expect.objectContaining({
          type: EventType.announced,
          remoteId: 5,
          destinationAddress4: '10.9.2.1',
          destinationPort: announced,
        }),
      );
    // Another user of the same listener, then nobody.
    const local = { address: '10.9.2.1', port: announced };
    expect(await context.listeners.listen(local)).toBe(announced);
    await context.userspace.removeAddress({ token, address: '10.9.2.1', id: 5 });
    await expect
      .poll(() => seenByB, SOON)
      .toContainEqual(expect.objectContaining({ type: EventType.removed, remoteId: 5 }));
    await context.listeners.close(local);
    await expect(context.listeners.close(local)).rejects.toThrow('it is not yours');

    const subflow = {
      token,
      local: { address: '10.9.2.1', port: 0 },
      remote: { address: '10.9.2.2', port },
    };
    await context.userspace.addSubflow({ ...subflow, localId: 7, remoteId: 0 });
    await expect.poll(() => subflows.length, SOON).toBe(1);
    const made = subflows[0]!;
    expect(made).toMatchObject({ token, local: { address: '10.9.2.1' }, localId: 7, backup: false });
    const [view] = await context.network.connections();
    expect(view).toMatchObject({ token, established: true, adopted: false });
    expect(view!.subflows.map(({ local: { address } }) => address)).toEqual(['10.9.1.1', '10.9.2.1']);

    const known = { token, local: made.local, remote: made.remote };
    await context.userspace.setBackup({ ...known, backup: true });
    await expect
      .poll(() => seenByB, SOON)
      .toContainEqual(expect.objectContaining({ type: EventType.subflowPriority, backup: 1 }));
    // The same for the whole interface.
    seenByB.length = 0;
    expect(await daemon.setInterface('v2', { backup: false })).toMatchObject({ subflows: 1, endpoints: [] });
    await expect
      .poll(() => seenByB, SOON)
      .toContainEqual(expect.objectContaining({ type: EventType.subflowPriority, backup: 0 }));
    await expect(daemon.setInterface('nowhere', { backup: true })).rejects.toMatchObject({
      code: 'NO_INTERFACE',
    });

    await context.userspace.removeSubflow(known);
    await expect.poll(() => closed.length, SOON).toBe(1);
    await expect(context.userspace.removeSubflow(known)).rejects.toThrow(/\(ESRCH\)$/);
    await expect(context.userspace.addAddress({ token, address: '10.9.2.1', id: 0 })).rejects.toMatchObject({
      code: 'BAD_ID',
    });
    hosts.ipB('mptcp', 'limits', 'set', 'add_addr_accepted', '8');
  });

  it('close a subflow of a connection that a dual-stack listener took, named with plain addresses', async () => {
    writeSysctl('path_manager', 'userspace', { netns: hosts.netnsA });
    const { context, connections } = await contextOf();
    const onA = await hosts.onA(() => createServer({ host: '::' }, (socket) => accepted.push(socket)));
    const { port } = onA.address() as AddressInfo;
    const client = new MptcpSocket(await hosts.onB(() => connectFd({ address: '10.9.1.1', port })));
    connected.push(client);
    client.write('x');
    await expect.poll(() => connections.length, SOON).toBe(1);
    const { token, local, remote } = connections[0]!;
    await context.userspace.removeSubflow({ token, local, remote });
    await expect
      .poll(
        () => listConnections({ netns: hosts.netnsA }).find((one) => one.token === token)?.subflows ?? [],
        SOON,
      )
      .toEqual([]);
    await new Promise((resolve) => {
      onA.close(resolve);
      for (const socket of [...accepted, client]) socket.destroy();
    });
  });

  it('to the id manager and the network', async () => {
    hosts.ipA('mptcp', 'endpoint', 'add', '10.9.1.9', 'id', '1', 'signal');
    const { context, connections } = await contextOf();
    const { ids, network } = context;
    expect(await ids.id('10.9.1.9')).toBe(1);
    expect(await ids.id('10.9.2.1')).toBe(2);
    expect(await ids.id('fd09:1::1')).toBe(3);
    expect(await ids.id('FD09:1:0::1')).toBe(3);
    await ids.release('10.9.2.1');
    // Taken by another program since.
    hosts.ipA('mptcp', 'endpoint', 'add', '10.9.1.8', 'id', '2', 'signal');
    expect(await ids.id('10.9.2.1')).toBe(4);
    expect((await network.interfaces()).map(({ name }) => name)).toEqual(['v1', 'v2']);
    await connect();
    await expect.poll(() => connections.length, SOON).toBe(1);
    expect(await network.owner(connections[0]!.token)).toMatchObject({ uid: 0 });
    expect(await network.owner(1)).toBeUndefined();
  });
});
