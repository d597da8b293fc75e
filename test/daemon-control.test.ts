/**
 * The daemon's control socket: `weft daemon status`, `weft daemon set` on connections that are open, and what the socket
 * answers to those who ask too much. The daemon is the built program.
 *
 *   client   c1  10.1.0.2/24  ─── veth ───  s1  10.1.0.1/24   server
 *            c2  10.2.0.2/24  ─── veth ───  s2  10.2.0.1/24
 *
 * What is bound to c2 finds the server's first address there too, so a connection to that one gets a subflow over each
 * link.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { connectFd } from '../src/mptcp/connect.ts';
import { countOf, createServer, listConnections, MptcpSocket, readCounters } from '../src/mptcp/index.ts';
import { ask, daemonReport, socketOf, StreamReader } from './support/daemon-control.ts';
import { Configuration, FOLLOW_ADDRESSES, startMptcpd } from './support/mptcpd-program.ts';
import {
  runtimeFiles,
  runWeft,
  UNPRIVILEGED,
  weftCommand,
  type RunningWeft,
} from './support/weft-program.ts';

const SOON = { interval: 5, timeout: 20_000 };

let client: LabNode;
let server: LabNode;
let configuration: Configuration;
const closers: (() => unknown)[] = [];

const ip = (node: LabNode, command: string) =>
  execFileSync('ip', ['-n', node.namespace, ...command.split(' ')], { encoding: 'utf8', stdio: 'pipe' });

beforeEach(async () => {
  client = new LabNode('client', 'control-client');
  server = new LabNode('server', 'control-server');
  configuration = new Configuration();
  for (const node of [client, server]) {
    for (const which of ['all', 'default']) node.setSysctl(`ipv6/conf/${which}/disable_ipv6`, 1);
  }
  for (const n of ['1', '2']) {
    ip(client, `link add c${n} type veth peer name s${n} netns ${server.namespace}`);
    for (const [node, link, host] of [
      [client, `c${n}`, '2'],
      [server, `s${n}`, '1'],
    ] as const) {
      ip(node, `addr add 10.${n}.0.${host}/24 dev ${link}`);
      ip(node, `link set ${link} up`);
    }
  }
  // The kernel drops what is sent on a link until it has noticed that the other end is up.
  await expect.poll(() => ip(client, '-o link show').match(/c[12]@.* state UP /g)?.length, SOON).toBe(2);
  ip(server, 'mptcp limits set subflows 8 add_addr_accepted 0');
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await client.close();
  await server.close();
  configuration.remove();
});

function startDaemon(args: readonly string[] = [], environment = {}): Promise<RunningWeft> {
  return startMptcpd(client, {
    args: [...FOLLOW_ADDRESSES, ...args],
    environment: configuration.environment(environment),
  });
}

/** A connection from the client to the server's first address that stays open. */
async function connect(): Promise<MptcpSocket> {
  const accepted: Socket[] = [];
  const listener = await server.inside(() =>
    createServer({ host: '10.1.0.1' }, (socket) => accepted.push(socket)),
  );
  const { port } = listener.address() as AddressInfo;
  const socket = new MptcpSocket(await client.inside(() => connectFd({ address: '10.1.0.1', port })));
  socket.write('x');
  await expect.poll(() => accepted.length, SOON).toBe(1);
  // Data both ways, so that each end is fully established.
  accepted[0]!.write('y');
  await once(socket, 'data');
  closers.push(async () => {
    await Promise.all([...accepted, socket].map((end) => once(end.destroy(), 'close')));
    await new Promise((resolve) => listener.close(resolve));
  });
  return socket;
}

/** Local address and whether it is backup, as the kernel tells of the client's only connection. */
const subflowsAtClient = () =>
  (listConnections({ netns: client.path })[0]?.subflows ?? [])
    .map(({ backupLocal, localAddress }) => `${localAddress}${backupLocal ? ' backup' : ''}`)
    .sort();

const backupAtServer = () =>
  (listConnections({ netns: server.path })[0]?.subflows ?? [])
    .filter(({ backupRemote }) => backupRemote)
    .map(({ remoteAddress }) => remoteAddress);

const count = (node: LabNode, name: string) => countOf(readCounters({ netns: node.path }), name);

describe('weft daemon status', () => {
  it('shows plugins, interfaces with the endpoints of their addresses, limits and counters', async () => {
    const { process: child } = await startDaemon();
    ip(client, 'mptcp endpoint add 192.0.2.1 signal');
    await connect();
    await expect.poll(async () => (await daemonReport(client)).connections, SOON).toBe(1);
    const report = await daemonReport(client);
    expect(report).toMatchObject({
      apiVersion: 1,
      pid: child.pid,
      listening: true,
      defaultPlugin: 'addr_adv',
      connections: 1,
      limits: { subflows: 4, addAddrAccepted: 4 },
      counters: { mptcpOverruns: 0, networkOverruns: 0 },
    });
    expect(report.counters.mptcpEvents).toBeGreaterThan(0);
    expect(report.plugins.map(({ name, state }) => `${name} ${state}`)).toContain('addr_adv running');
    expect(report.interfaces.map(({ kind, name }) => `${name} ${kind}`)).toEqual(['c1 veth', 'c2 veth']);
    const lines = report.interfaces.flatMap(({ addresses, name }) =>
      addresses.map(({ address, endpoint }) => `${address} id ${endpoint?.id} subflow dev ${name} `),
    );
    // What the kernel has, as Debian's ip shows it.
    const shown = ip(client, 'mptcp endpoint show').trimEnd().split('\n');
    expect(shown).toEqual(expect.arrayContaining(lines));
    expect(shown).toHaveLength(3);
    expect(report.endpoints).toHaveLength(3);
    expect(report.ownEndpointIds).toHaveLength(2);

    const { code, stdout } = await runWeft(client, 'daemon', 'status');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Plugins in use: .*addr_adv.*; new connections go to addr_adv\. 1 MPTCP/);
    expect(stdout).toMatch(/^ {2}c1 \(veth\) {2}10\.1\.0\.2\/24 {2}id \d: subflow$/m);
    expect(stdout).toMatch(/^Other endpoints: 192\.0\.2\.1 \(id 3, signal, of another program\)\.$/m);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it('without a daemon: one line, exit code 1, and JSON for programs', async () => {
    for (const verb of [['daemon', 'status'], ['daemon', 'set', 'c1', 'backup'], ['events']]) {
      const { code, stderr, stdout } = await runWeft(client, ...verb);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toBe(
        'weft: the path-management daemon is not running here — start it with "weft daemon" or "systemctl start mptcp"\n',
      );
    }
    const { stdout } = await runWeft(client, 'daemon', 'status', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ code: 'NOT_RUNNING' });
  });

  it('the socket of a daemon that was killed is nobody, and the next one takes its place', async () => {
    const killed = await startDaemon();
    await killed.stop('SIGKILL');
    expect(socketOf(client)).toBeDefined();
    expect((await runWeft(client, 'daemon', 'status')).stderr).toMatch(/is not running here/);
    const next = await startDaemon();
    expect((await daemonReport(client)).pid).toBe(next.process.pid);
    expect(await next.stop()).toBe(0);
    expect(runtimeFiles(client).filter((path) => path.endsWith('.sock'))).toEqual([]);
  });

  it('finds the one that a service manager gave a folder, and one of a folder that is named', async () => {
    mkdirSync('/run/mptcpd', { mode: 0o700 });
    closers.push(() => rmSync('/run/mptcpd', { recursive: true }));
    const service = await startDaemon([], { RUNTIME_DIRECTORY: '/run/mptcpd' });
    expect(readdirSync('/run/mptcpd').some((name) => name.endsWith('.sock'))).toBe(true);
    expect((await daemonReport(client)).pid).toBe(service.process.pid);
    expect(await service.stop()).toBe(0);

    const own = `${configuration.folder}/run`;
    const named = await startDaemon([], { RUNTIME_DIRECTORY: '/run/mptcpd', WEFT_RUNTIME_DIR: own });
    expect(readdirSync('/run/mptcpd')).toEqual([]);
    const env = { ...process.env, WEFT_RUNTIME_DIR: own };
    const { stdout } = await client.run(weftCommand('daemon', 'status', '--json'), { env });
    expect(JSON.parse(stdout)).toMatchObject({ pid: named.process.pid });
    expect((await runWeft(client, 'daemon', 'status')).code).toBe(1);
  });
});

describe('weft daemon set', () => {
  it('makes a live connection’s subflow backup and normal again, and tells the peer', async () => {
    await startDaemon();
    await connect();
    await expect.poll(subflowsAtClient, SOON).toEqual(['10.1.0.2', '10.2.0.2']);
    const done = await runWeft(client, 'daemon', 'set', 'c2', 'backup');
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(done.stdout).toMatch(/^c2 is backup: endpoint 10\.2\.0\.2 \(id \d\)\n$/);
    expect(ip(client, 'mptcp endpoint show')).toMatch(/^10\.2\.0\.2 id \d subflow backup dev c2 $/m);
    await expect.poll(subflowsAtClient, SOON).toEqual(['10.1.0.2', '10.2.0.2 backup']);
    await expect.poll(backupAtServer, SOON).toEqual(['10.2.0.2']);
    expect([count(client, 'MPPrioTx'), count(server, 'MPPrioRx')]).toEqual([1, 1]);

    const json = await runWeft(client, 'daemon', 'set', 'c2', 'normal', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      interface: 'c2',
      backup: false,
      endpoints: [{ address: '10.2.0.2' }],
    });
    await expect.poll(subflowsAtClient, SOON).toEqual(['10.1.0.2', '10.2.0.2']);
    await expect.poll(backupAtServer, SOON).toEqual([]);
    expect([count(client, 'MPPrioTx'), count(server, 'MPPrioRx')]).toEqual([2, 2]);
  });

  it('does the same under the userspace path manager', async () => {
    client.setSysctl('mptcp/path_manager', 'userspace');
    await startDaemon(['--load-plugins=fullmesh', '--path-manager=fullmesh']);
    await connect();
    await expect.poll(subflowsAtClient, SOON).toEqual(['10.1.0.2', '10.2.0.2']);
    for (const [priority, shown, told] of [
      ['backup', '10.2.0.2 backup', ['10.2.0.2']],
      ['normal', '10.2.0.2', []],
    ] as const) {
      const { code, stdout } = await runWeft(client, 'daemon', 'set', 'c2', priority);
      expect(code).toBe(0);
      expect(stdout).toBe(`c2 is ${priority}: 1 subflow under the userspace path manager\n`);
      await expect.poll(subflowsAtClient, SOON).toEqual(['10.1.0.2', shown]);
      await expect.poll(backupAtServer, SOON).toEqual(told);
    }
    expect([count(client, 'MPPrioTx'), count(server, 'MPPrioRx')]).toEqual([2, 2]);
  });

  it('names the interfaces there are when it is another, and changes nothing', async () => {
    await startDaemon();
    const { code, stderr, stdout } = await runWeft(client, 'daemon', 'set', 'c9', 'backup');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe('weft: the daemon refused: there is no interface "c9" that is up — up are: c1, c2\n');
    expect(ip(client, 'mptcp endpoint show')).not.toContain('backup');
    const json = await runWeft(client, 'daemon', 'set', 'c9', 'backup', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ code: 'NO_INTERFACE' });
    expect((await runWeft(client, 'daemon', 'set', 'c1', 'bakup')).stderr).toMatch(/backup, normal/);
  });
});

describe('the control socket of the daemon', () => {
  it('is for its user alone, who is told so when it is another', async () => {
    await startDaemon();
    expect(statSync(socketOf(client)).mode & 0o777).toBe(0o600);
    expect(statSync('/run/weft').mode & 0o777).toBe(0o700);
    // As the folder looks to anybody but its owner.
    chmodSync('/run/weft', 0);
    closers.push(() => chmodSync('/run/weft', 0o700));
    const { code, stderr } = await client.run([...UNPRIVILEGED, ...weftCommand('daemon', 'status')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/"\/run\/weft" is closed to you.*sudo weft daemon status/);
  });

  it('refuses what it does not understand, each with a reason, and works on', async () => {
    await startDaemon();
    const path = socketOf(client);
    const wanted = { status: 400, body: { code: 'BAD_ARGUMENT' } };
    for (const body of ['', 'nonsense', '[]', 'null', '{"name":"c1"}', '{"name":1,"backup":true}']) {
      expect(await ask(path, '/v1/interface', body), body).toMatchObject(wanted);
    }
    expect(await ask(path, '/v1/events?kind=foo')).toMatchObject(wanted);
    expect(await ask(path, '/v1/nothing')).toMatchObject({ status: 404, body: { code: 'NO_SUCH_CALL' } });
    expect(await ask(path, '/v1/interface')).toMatchObject({ status: 404 });
    expect(await ask(path, '/v1/interface', Buffer.alloc(100_000, ' '))).toMatchObject({
      status: 413,
      body: { code: 'TOO_LARGE' },
    });
    expect(await ask(path, '/v1/interface', '{"name":"c1","backup":true}')).toMatchObject({
      status: 200,
      body: { interface: 'c1', backup: true },
    });
  });

  it('has room for so many readers, and again when one leaves', async () => {
    await startDaemon();
    const path = socketOf(client);
    const readers: StreamReader[] = [];
    for (let n = 0; n < 16; n++) readers.push(await StreamReader.open(path));
    await expect(StreamReader.open(path)).rejects.toThrow('HTTP 503');
    // Questions are answered all the same.
    expect((await ask(path, '/v1/status')).status).toBe(200);
    readers[7]!.close();
    const after = () => StreamReader.open(path).catch(() => undefined);
    await expect.poll(async () => readers.push(...[await after()].flatMap((x) => x ?? [])), SOON).toBe(17);
    for (const reader of readers) reader.close();
  });

  it('100 readers come and go, in all ways, and leave nothing', async () => {
    const { process: child } = await startDaemon();
    const path = socketOf(client);
    const descriptors = () => readdirSync(`/proc/${child.pid}/fd`).length;
    // What begins when it is ready has begun then.
    for (const call of ['/v1/overview', '/v1/web']) await ask(path, call);
    await expect.poll(descriptors, SOON).toBeGreaterThan(0);
    const first = await StreamReader.open(path);
    first.close();
    // Until it has noticed that nobody is there any more.
    await expect.poll(async () => (await ask(path, '/v1/status')).status, SOON).toBe(200);
    let before = Infinity;
    await expect
      .poll(() => {
        const now = descriptors();
        const settled = now === before;
        before = now;
        return settled;
      }, SOON)
      .toBe(true);
    for (let round = 0; round < 10; round++) {
      const readers = await Promise.all(Array.from({ length: 10 }, () => StreamReader.open(path)));
      for (const reader of readers.slice(0, 3)) reader.pause();
      ip(client, `addr add 10.9.${round}.1/24 dev c1`);
      await expect.poll(() => readers.slice(3).every(({ events }) => events.length > 1), SOON).toBe(true);
      ip(client, `addr del 10.9.${round}.1/24 dev c1`);
      for (const reader of readers) reader.close();
      await expect.poll(descriptors, SOON).toBeLessThanOrEqual(before);
    }
    const last = await StreamReader.open(path);
    ip(client, 'addr add 10.9.0.1/24 dev c1');
    await expect.poll(() => last.of('endpoint').length, SOON).toBe(1);
    last.close();
  });
});
