/**
 * The observer's list of connections on one host: those of the proxy, with targets and reasons, those of programs, with
 * their names; and that nothing of thousands that came and went is kept. All of it on loopback.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import { connect, createServer, listConnections, SocketScan, type MptcpSocket } from '../src/mptcp/index.ts';
import { kernelSources } from '../src/service/observe/kernel-sources.ts';
import type { ConnectionReading } from '../src/service/observe/model.ts';
import { Observer } from '../src/service/observe/observer.ts';
import {
  cleanUp,
  onCleanup,
  openTunnel,
  startMptcpServer,
  startProxy,
  startTcpServer,
  until,
} from './proxy-support.ts';
import { bundleTypeScript } from './support/bundle.ts';

afterEach(cleanUp);

async function startObserver(more: object = {}): Promise<Observer> {
  const observer = new Observer({
    sources: { ...kernelSources({ version: '0.0.0' }), ...more },
    logger: silentLogger,
  });
  await observer.start();
  onCleanup(() => observer.stop());
  onCleanup(observer.onSample(() => {}));
  return observer;
}

const echo = (socket: Socket) => void socket.on('error', () => {}).pipe(socket);

it('shows the proxy’s connections with their targets, and why one is plain TCP', async () => {
  const proxy = await startProxy();
  const multipath = await startMptcpServer(echo);
  const plain = await startTcpServer(echo);
  const observer = await startObserver({ program: 'up', proxied: () => proxy.server.connections() });
  for (const port of [multipath, plain]) {
    const socket = await openTunnel(proxy.port, port);
    onCleanup(() => void socket.destroy());
    socket.write('x'.repeat(10_000));
  }
  const rowTo = (port: number): ConnectionReading | undefined =>
    observer.connections({ search: `127.0.0.1:${port}` }).rows.find((row) => row.owner === 'proxy');
  await until(() => rowTo(multipath)?.receivedBytes === 10_000, 'the MPTCP row');
  await until(() => rowTo(plain)?.receivedBytes === 10_000, 'the TCP row');
  expect(rowTo(multipath)).toMatchObject({
    protocol: 'mptcp',
    target: `127.0.0.1:${multipath}`,
    program: 'weft',
    pid: process.pid,
    sentBytes: 10_000,
  });
  expect(rowTo(multipath)).not.toHaveProperty('fallbackReason');
  const row = rowTo(plain)!;
  expect(row).toMatchObject({ protocol: 'tcp', target: `127.0.0.1:${plain}`, sentBytes: 10_000 });
  expect(row.fallbackReason).toMatch(/MPTCP/);
  expect(observer.overview().totals).toMatchObject({ fallbacks: 1 });
  // Nothing of loopback is a path or has a peer.
  expect(observer.overview().peers).toEqual([]);
  expect(() => observer.connection('mffffffff')).toThrow(/there is no connection "mffffffff"/);
});

it('shows plain TCP sockets of the proxy too, with the kernel’s numbers of each', async () => {
  const proxy = await startProxy({}, { multipath: false });
  const port = await startTcpServer(echo);
  const observer = await startObserver({ program: 'up', proxied: () => proxy.server.connections() });
  const socket = await openTunnel(proxy.port, port);
  onCleanup(() => void socket.destroy());
  socket.write('x'.repeat(10_000));
  const row = () => observer.connections({ search: `127.0.0.1:${port} tcp` }).rows[0];
  await until(() => row()?.receivedBytes === 10_000 && row()?.subflowCount === 1, 'the row and its socket');
  const { id, localPort } = row()!;
  expect(id).toMatch(/^p\d+$/);
  expect(localPort).toBeGreaterThan(0);
  expect(observer.connection(id).subflows).toMatchObject([
    { localPort, remotePort: port, state: 'active', tcpState: 'established', receivedBytes: 10_000 },
  ]);
});

it('names the program of a connection, another one than this', async () => {
  const observer = await startObserver();
  const port = await startMptcpServer(echo);
  const program = await bundleTypeScript(new URL('support/mptcp-client-child.ts', import.meta.url));
  const child = spawn(process.execPath, [program, '127.0.0.1', String(port)], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  onCleanup(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const theirs = () =>
    observer.connections({ search: `127.0.0.1:${port}` }).rows.find(({ remotePort }) => remotePort === port);
  await until(() => theirs()?.program !== undefined, 'its name');
  const name = readFileSync(`/proc/${child.pid}/comm`, 'utf8').trim();
  expect(theirs()).toMatchObject({ owner: 'program', pid: child.pid, program: name });
});

/** Opens as many connections as quickly as it can, and ends each at once. */
async function churn(port: number, count: number): Promise<void> {
  const lane = async () => {
    for (let left = count / 16; left > 0; left--) {
      const socket: MptcpSocket = await connect({ host: '127.0.0.1', port });
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
}

it('keeps nothing of 2,000 connections that came and went', async () => {
  const observer = await startObserver();
  const server = await createServer({}, (socket) => socket.on('error', () => {}).resume());
  onCleanup(() => {
    server.close();
  });
  const { port } = server.address() as { port: number };
  await churn(port, 2000);
  // What the kernel still closes is not ours to forget.
  await until(() => observer.overview().totals.connections === 0, 'the kernel to have closed all');
  await until(
    () => observer.size.connections === 0 && observer.size.subflows === 0,
    'the observer to have forgotten them',
  );
  expect(observer.recentEvents().events.length).toBeLessThanOrEqual(2000);
});

it('is told the same of hundreds of sockets, step by step, as a whole list tells', async () => {
  const port = await startMptcpServer(echo);
  const sockets = await Promise.all(Array.from({ length: 300 }, () => connect({ host: '127.0.0.1', port })));
  onCleanup(() => {
    for (const socket of sockets) socket.destroy();
  });
  const listed = () => listConnections().filter(({ state }) => state === 'established');
  await until(
    () => listed().length === 600 && listed().every(({ subflows }) => subflows.length === 1),
    'both ends of all',
  );
  const scan = new SocketScan();
  onCleanup(() => scan.close());
  for (let times = 0; times < 2; times++) {
    const steps = [...scan.read()].length;
    expect(steps).toBeGreaterThan(8);
    const tokens: string[] = [];
    const ends: string[] = [];
    scan.visitConnections(({ socket, token }) => {
      if (socket.state === 1) tokens.push(String(token));
    });
    scan.visitSubflows(performance.now(), ({ socket, token }) => {
      ends.push(
        `${token} ${socket.localAddress} ${socket.localPort} ${socket.remotePort} ${socket.congestionControl}`,
      );
    });
    expect(tokens.sort()).toEqual(
      listed()
        .map(({ token }) => String(token))
        .sort(),
    );
    expect(ends.sort()).toEqual(
      listed()
        .flatMap(({ subflows, token }) =>
          subflows.map(
            ({ congestionControl, localAddress, localPort, remotePort }) =>
              `${token} ${localAddress} ${localPort} ${remotePort} ${congestionControl}`,
          ),
        )
        .sort(),
    );
  }
});

it('a plain TCP connection of a program is not there', async () => {
  const observer = await startObserver();
  const port = await startTcpServer(echo);
  const socket = connectTcp(port, '127.0.0.1');
  await once(socket, 'connect');
  onCleanup(() => void socket.destroy());
  const { sample } = observer.overview();
  observer.lookNow();
  await until(() => observer.overview().sample > sample + 1, 'two more looks');
  expect(observer.connections({}).rows.filter(({ remotePort }) => remotePort === port)).toEqual([]);
});
