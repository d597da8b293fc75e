/**
 * docs/plugins.md held against the code: its examples run, with the real kernel, and its tables name every callback and
 * command that there is. The hosts are those of support/two-hosts.ts; the daemon runs on `a`.
 */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { connectFd } from '../src/mptcp/connect.ts';
import {
  createServer,
  listConnections,
  MptcpSocket,
  PathManager,
  writeSysctl,
  type MptcpServer,
} from '../src/mptcp/index.ts';
import type { PathDaemon, PathDaemonOptions } from '../src/pathmanager/index.ts';
import { COMMANDS } from '../src/pathmanager/plugin-host/worker-protocol.ts';
import { startPathDaemon } from './support/daemon.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';

const SOON = { interval: 5, timeout: 20_000 };
const guide = readFileSync(new URL('../docs/plugins.md', import.meta.url), 'utf8');
const api = readFileSync(new URL('../src/pathmanager/plugin-api.ts', import.meta.url), 'utf8');

let hosts: TwoHosts;
let server: MptcpServer;
let folder: string;
let daemon: PathDaemon | undefined;
const lines: string[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  hosts = makeTwoHosts('weft-guide');
  server = await hosts.onB(() => createServer({}, (socket) => sockets.push(socket)));
  folder = mkdtempSync(join(tmpdir(), 'weft-guide-'));
  for (const [, text = '', name = ''] of guide.matchAll(/```[jt]s\n(\/\/ (\S+)\n[^]*?)```/g)) {
    writeFileSync(join(folder, name), text);
  }
});
afterEach(async () => {
  await daemon?.stop();
  for (const socket of sockets.splice(0)) if (!socket.closed) await once(socket.destroy(), 'close');
  lines.length = 0;
});
afterAll(async () => {
  await new Promise((resolve) => void server.close(resolve));
  hosts.remove();
  rmSync(folder, { recursive: true });
});

async function connect(options: Partial<PathDaemonOptions>) {
  daemon = await startPathDaemon(lines, { netns: hosts.netnsA, pluginDirectory: folder, ...options });
  const { port } = server.address() as AddressInfo;
  const socket = new MptcpSocket(await hosts.onA(() => connectFd({ address: '10.9.1.2', port })));
  sockets.push(socket);
  socket.write('x');
  return { socket, port };
}

it('the example path-log.mjs', async () => {
  const remote = '10.9.2.2';
  hosts.ipB('mptcp', 'endpoint', 'add', remote, 'id', '7', 'signal');
  const { socket, port } = await connect({ loadPlugins: ['path-log'] });
  await expect.poll(() => lines, SOON).toContain('info   also 10.9.2.1 -> 10.9.2.2');
  hosts.ipB('mptcp', 'endpoint', 'delete', 'id', '7');
  await expect
    .poll(() => lines, SOON)
    .toContainEqual(expect.stringMatching(/^info {3}no longer 10.9.2.1 -> 10.9.2.2 \(.+\)$/));
  socket.destroy();
  await expect.poll(() => lines, SOON).toContain('info   ended; it had up to 2 paths');
  expect(lines[0]).toBe(`info 10.9.1.1 -> 10.9.1.2:${port}`);
});

it('the example spare-path.ts', async () => {
  writeSysctl('path_manager', 'userspace', { netns: hosts.netnsA });
  await connect({
    loadPlugins: ['spare-path'],
    pluginSettings: new Map([['spare-path', { interface: 'v2' }]]),
  });
  const spares = () =>
    listConnections({ netns: hosts.netnsA })
      .flatMap((connection) => connection.subflows)
      .filter((subflow) => subflow.localAddress === '10.9.2.1' && subflow.state === 'established');
  await expect.poll(spares, SOON).toMatchObject([{ backupLocal: true }]);
  // Lost, and made again from another port.
  const { localAddress, localPort, remoteAddress, remotePort } = spares()[0]!;
  const manager = PathManager.open({ netns: hosts.netnsA });
  manager.destroySubflow(listConnections({ netns: hosts.netnsA })[0]!.token, {
    local: { address: localAddress, port: localPort },
    remote: { address: remoteAddress, port: remotePort },
  });
  manager.close();
  await expect.poll(() => spares().map((subflow) => subflow.localPort !== localPort), SOON).toEqual([true]);
  writeSysctl('path_manager', 'kernel', { netns: hosts.netnsA });
});

it('the guide names every callback and every command', () => {
  const body = /export interface PluginCallbacks \{([^]*?)\n\}/.exec(api)![1]!;
  const callbacks = [...body.matchAll(/^ {2}(\w+)\?\(/gm)].map((match) => match[1]!);
  expect(callbacks.length).toBeGreaterThan(15);
  const [, told] = guide.split('## Callbacks');
  expect(callbacks.filter((name) => told?.includes(`\`${name}\``) !== true)).toEqual([]);
  const [, commanded] = guide.split('## Commands');
  const commands = Object.entries(COMMANDS).flatMap(([group, names]) =>
    names.map((name) => `\`${group}.${name}\``),
  );
  expect(commands.filter((name) => commanded?.includes(name) !== true)).toEqual([]);
});

it('a plugin’s thread can give every command that the interface names', () => {
  const names = { kernel: 'KernelCommands', userspace: 'UserspaceCommands', ids: 'IdManager' };
  const more = { listeners: 'ListenerManager', network: 'NetworkAccess' };
  for (const [group, name] of Object.entries({ ...names, ...more })) {
    const body = new RegExp(`export interface ${name} \\{([^]*?)\\n\\}`).exec(api)![1]!;
    const members = [...body.matchAll(/^ {2}(\w+)\(/gm)].map((match) => match[1]!);
    expect(new Set(COMMANDS[group as keyof typeof COMMANDS])).toEqual(new Set(members));
  }
});
