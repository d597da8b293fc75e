/**
 * Every byte through the transparent front, for programs that begin in every way: the one that waits for the server's
 * first word, the one that sends everything at once, the one that leaves before it was connected.
 *
 *   client ── wifi0 ~~~ router0 ── server (203.0.113.10, 2001:db8:9::10)
 *          ── lte0  ~~~ router1 ──
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { Lab, LabNode } from '../src/lab/index.ts';
import { connectFd } from '../src/mptcp/index.ts';
import {
  abortConnection,
  bindSocket,
  closeFd,
  IPPROTO_MPTCP,
  listenOn,
  openSocket,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from '../src/native/index.ts';
import { readStatus, RunningWeft, startWeft, weftCommand } from './support/weft-program.ts';

const PORT = 7000;
const DEADLINE_MS = 30_000;
const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Setting {
  readonly lab: Lab;
  readonly client: LabNode;
  readonly weft: RunningWeft;
}

/** A lab, a server of a kind of its own at port 7000, and a Weft in transparent mode. */
async function setUp(serve: (socket: Socket) => void): Promise<Setting> {
  const lab = await Lab.twoUplinks({ rateBps: 1e9, delayMs: 1, web: false });
  closers.push(() => lab.close());
  startServer(lab, serve);
  const client = lab.node('client');
  return { lab, client, weft: await startWeft(client, ['--transparent']) };
}

function startServer(lab: Lab, serve: (socket: Socket) => void): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    serve(socket);
  });
  const fd = lab.node('server').inside(() => openSocket(2, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP));
  bindSocket(fd, { address: lab.serverAddress, port: PORT });
  listenOn(fd, 1024);
  server.listen({ fd });
  closers.push(() => void server.close());
}

const connectTo = (client: LabNode, address: string) =>
  client.inside(() => connectFd({ address, port: PORT, multipath: false }));

async function open(client: LabNode, address: string): Promise<Socket> {
  const { fd } = await connectTo(client, address);
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  closers.push(() => void socket.destroy());
  return socket;
}

/** Iterating over a socket would destroy it at the end of what comes. */
function readAll(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.once('end', () => resolve(Buffer.concat(chunks)));
    socket.once('error', reject);
  });
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Answers, after the end of what comes, with its digest. */
function digest(socket: Socket): void {
  void readAll(socket).then(
    (bytes) => socket.end(sha256(bytes)),
    () => socket.destroy(),
  );
}

it('the server speaks first', async () => {
  const { client, lab, weft } = await setUp((socket) => socket.end('220 welcome\r\n'));
  const socket = await open(client, lab.serverAddress);
  expect((await readAll(socket)).toString()).toBe('220 welcome\r\n');
  socket.end();
  expect(await weft.stop()).toBe(0);
});

it('the client says everything at once and ends its side', async () => {
  const { client, lab, weft } = await setUp(digest);
  for (const length of [0, 1, 70_000, 5_000_000]) {
    const socket = await open(client, lab.serverAddress);
    const bytes = randomBytes(length);
    socket.end(bytes);
    expect((await readAll(socket)).toString()).toBe(sha256(bytes));
  }
  expect((await readStatus(client)).proxy.counters).toMatchObject({ tunnelsOpened: 4, upstreamsMptcp: 4 });
  expect(await weft.stop()).toBe(0);
});

it('many come at once, and each has its own bytes', async () => {
  const { client, lab, weft } = await setUp((socket) => socket.pipe(socket));
  const failures: string[] = [];
  const one = async (n: number): Promise<void> => {
    const socket = await open(client, lab.serverAddress);
    const bytes = randomBytes(1 + n * 100);
    socket.end(bytes);
    if (!(await readAll(socket)).equals(bytes)) failures.push(`connection ${n}`);
  };
  await Promise.all(Array.from({ length: 300 }, (_, n) => one(n)));
  expect(failures).toEqual([]);
  const { counters } = (await readStatus(client)).proxy;
  expect(counters).toMatchObject({ tunnelsOpened: 300, dialsFailed: 0, refused: 0 });
  expect(await weft.stop()).toBe(0);
});

it('all of it leads through a far end', async () => {
  const lab = await Lab.twoUplinks({ rateBps: 1e9, delayMs: 1, web: false });
  closers.push(() => lab.close());
  startServer(lab, digest);
  const folder = mkdtempSync('/run/weft-transparent-');
  closers.push(() => rmSync(folder, { recursive: true }));
  const token = join(folder, 'token');
  const address = `${lab.serverAddress}:7443`;
  const far = new RunningWeft(
    lab
      .node('server')
      .spawn(weftCommand('serve', '--listen', address, '--token-file', token, '--allow', lab.serverAddress), {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
  );
  await far.seen(/listens/);
  const client = lab.node('client');
  const weft = await startWeft(client, [
    '--transparent',
    '--upstream',
    `weft://${address}`,
    '--token-file',
    token,
  ]);
  const one = async (n: number): Promise<boolean> => {
    const socket = await open(client, lab.serverAddress);
    const bytes = randomBytes(n * 100_000);
    socket.end(bytes);
    return (await readAll(socket)).toString() === sha256(bytes);
  };
  expect(await Promise.all(Array.from({ length: 20 }, (_, n) => one(n)))).not.toContain(false);
  expect((await readStatus(client)).proxy.counters).toMatchObject({ tunnelsOpened: 20, dialsFailed: 0 });
  expect(await weft.stop()).toBe(0);
  expect(await far.stop()).toBe(0);
});

it('the client leaves before the server was reached', async () => {
  const { client, lab, weft } = await setUp((socket) => socket.destroy());
  for (const uplink of lab.uplinks) uplink.cut();
  const { fd } = await connectTo(client, lab.serverAddress);
  await vi.waitFor(async () => {
    expect((await readStatus(client)).proxy.counters['clientConnections']).toBe(1);
  }, DEADLINE_MS);
  abortConnection(fd);
  closeFd(fd);
  await vi.waitFor(async () => {
    expect((await readStatus(client)).proxy.counters['dialsFailedByReason']).toEqual({ aborted: 1 });
  }, DEADLINE_MS);
  expect(await weft.stop()).toBe(0);
});

it('this host has no IPv6', async () => {
  const lab = await Lab.twoUplinks({ rateBps: 1e9, delayMs: 1 });
  closers.push(() => lab.close());
  const client = lab.node('client');
  for (const which of ['all', 'lo', 'default']) client.setSysctl(`ipv6/conf/${which}/disable_ipv6`, 1);
  const weft = await startWeft(client, ['--transparent']);
  const { code, stdout } = await client.run([
    'curl',
    '-sS',
    '--fail',
    '-o',
    '/dev/null',
    '-w',
    '%{size_download}',
    lab.url(1000),
  ]);
  expect([code, stdout]).toEqual([0, '1000']);
  expect((await readStatus(client)).proxy.counters['tunnelsOpened']).toBe(1);
  expect(await weft.stop()).toBe(0);
});
