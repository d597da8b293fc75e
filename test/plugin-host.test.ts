/**
 * Plugins of the daemon's own thread with the real kernel: what they are told, and what their commands do. The hosts
 * and their two links are those of support/two-hosts.ts; the daemon runs on `a`, which connects.
 */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import { connectFd } from '../src/mptcp/connect.ts';
import { createServer, MptcpSocket, type MptcpServer } from '../src/mptcp/index.ts';
import {
  OWNS_NOTHING,
  PathDaemon,
  type ConnectionEvent,
  type PathDaemonOptions,
  type Plugin,
} from '../src/pathmanager/index.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';

const SOON = { interval: 5, timeout: 20_000 };

let hosts: TwoHosts;
let server: MptcpServer;
const accepted: Socket[] = [];
const connected: Socket[] = [];
const daemons: PathDaemon[] = [];

beforeAll(async () => {
  hosts = makeTwoHosts('weft-plugins');
  server = await hosts.onB(() => createServer({}, (socket) => accepted.push(socket)));
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop();
  const sockets = [...accepted.splice(0), ...connected.splice(0)].filter((socket) => !socket.closed);
  await Promise.all(sockets.map((socket) => once(socket.destroy(), 'close')));
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  hosts.remove();
});

async function startDaemon(options: Partial<PathDaemonOptions>): Promise<PathDaemon> {
  const daemon = new PathDaemon({
    logger: silentLogger,
    netns: hosts.netnsA,
    loadPlugins: [],
    addressFlags: 0,
    notify: { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false },
    rules: [],
    pluginSettings: new Map(),
    journal: { load: () => OWNS_NOTHING, save: () => {} },
    keepEndpoints: false,
    ...options,
  });
  daemons.push(daemon);
  await daemon.start();
  return daemon;
}

async function connect(): Promise<MptcpSocket> {
  const { port } = server.address() as AddressInfo;
  const socket = new MptcpSocket(await hosts.onA(() => connectFd({ address: '10.9.1.2', port })));
  connected.push(socket);
  socket.write('x');
  return socket;
}

it('tells the default plugin of a connection, from its beginning to its end', async () => {
  const seen: [string, object][] = [];
  const plugin: Plugin = {
    name: 'recorder',
    init: (context) =>
      context.register({
        newConnection: (event) => void seen.push(['newConnection', event]),
        connectionEstablished: (event) => void seen.push(['connectionEstablished', event]),
        connectionClosed: (event) => void seen.push(['connectionClosed', event]),
      }),
  };
  await startDaemon({ plugins: [plugin] });
  const socket = await connect();
  await expect.poll(() => seen.map(([name]) => name), SOON).toContain('connectionEstablished');
  const created = seen[0]![1] as ConnectionEvent;
  expect(created).toMatchObject({
    local: { address: '10.9.1.1', port: socket.localPort },
    remote: { address: '10.9.1.2' },
    serverSide: false,
    denyJoinId0: false,
    adopted: false,
  });
  socket.destroy();
  await expect.poll(() => seen.map(([name]) => name), SOON).toContain('connectionClosed');
  expect(seen.at(-1)).toEqual(['connectionClosed', { token: created.token }]);
});
