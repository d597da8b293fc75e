/**
 * Every MPTCP connection of a namespace as socket diagnostics tell it: both families, an IPv4 client of a dual-stack
 * listener, connections that fell back, and sockets that are no connections or no MPTCP. Over loopback; connections
 * with several subflows are in userspace-pm.test.ts.
 */
import { once } from 'node:events';
import { createServer as createNetServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  connect,
  createServer,
  listConnections,
  readMptcpInfo,
  type MptcpConnection,
  type MptcpServer,
  type MptcpSocket,
} from '../src/mptcp/index.ts';

/** For what the kernel does in its own time: looks often, gives up only when it will never be. */
const SOON = { interval: 5, timeout: 20_000 };

const sockets: Socket[] = [];
const keep = (socket: Socket) => {
  sockets.push(socket.on('error', () => {}).resume());
};
let multipath: MptcpServer;
const plain = createNetServer(keep);
const portOf = (server: { address(): AddressInfo | string | null }) => (server.address() as AddressInfo).port;

beforeAll(async () => {
  multipath = await createServer({}, keep);
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all([multipath, plain].map((server) => once(server.close(), 'close')));
});

async function open(host: string, port: number, wanted = true): Promise<MptcpSocket> {
  const before = sockets.length;
  const socket = await connect({ host, port, multipath: wanted });
  keep(socket);
  // Both ends, the other one accepted: from now on nothing moves.
  await expect.poll(() => sockets.length, SOON).toBe(before + 2);
  return socket;
}

const endsOf = (
  item: Pick<MptcpConnection, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>,
) => [item.localAddress, item.localPort, item.remoteAddress, item.remotePort];
const connectionFrom = (address: string, port: number) =>
  listConnections().find((item) => item.localAddress === address && item.localPort === port);

it.each([
  ['127.0.0.1', '::ffff:127.0.0.1'],
  ['::1', '::1'],
])('a connection to %s is there twice, once for each end, with its subflow', async (host, atListener) => {
  const port = portOf(multipath);
  const socket = await open(host, port);
  const near = connectionFrom(host, socket.localPort!)!;
  const far = listConnections().find(
    (item) => item.localPort === port && item.remotePort === socket.localPort,
  )!;
  expect(endsOf(near)).toEqual([host, socket.localPort, host, port]);
  expect(endsOf(far)).toEqual([atListener, port, atListener, socket.localPort]);
  for (const connection of [near, far]) {
    expect(connection).toMatchObject({ state: 'established', fallback: false, uid: process.getuid!() });
    expect(connection.subflows.map(endsOf)).toEqual([endsOf(connection)]);
    expect(connection.subflows[0]).toMatchObject({ initial: true, backupLocal: false, state: 'established' });
  }
  expect(near.token).toBe(readMptcpInfo(socket)!.token);
  expect(far.token).not.toBe(near.token);
});

it('connections that fell back are there, each with no other subflow than its own', async () => {
  const both = [await open('127.0.0.1', portOf(plain)), await open('127.0.0.1', portOf(plain))];
  for (const socket of both) {
    const connection = connectionFrom('127.0.0.1', socket.localPort!)!;
    expect(connection).toMatchObject({ state: 'established', fallback: true });
    for (const subflow of connection.subflows) expect(endsOf(subflow)).toEqual(endsOf(connection));
  }
});

it('neither listeners nor plain TCP connections are there, also not at a listener that takes MPTCP', async () => {
  const socket = await open('127.0.0.1', portOf(multipath), false);
  const ports = listConnections().flatMap((item) => [item.localPort, item.remotePort]);
  expect(ports).not.toContain(socket.localPort);
  expect(listConnections().map((item) => item.state)).not.toContain('listening');
});

it('a namespace that there is not is named', () => {
  expect(() => listConnections({ netns: '/run/netns/weft-none' })).toThrow(/"\/run\/netns\/weft-none"/);
});
