/**
 * Whose a connection's socket is: two programs (this one, and a child in a control group of its own where that can be
 * made) connect over loopback, and are told apart by the tokens of their connections.
 */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, createServer, readMptcpInfo, type MptcpServer } from '../src/mptcp/index.ts';
import { SocketOwners } from '../src/pathmanager/socket-owners.ts';
import { ControlGroup, isHostRoot } from './support/control-group.ts';

let server: MptcpServer;
let owners: SocketOwners;
const accepted: Socket[] = [];
const group = isHostRoot ? new ControlGroup('weft-owners') : undefined;

beforeAll(async () => {
  server = await createServer({}, (socket) => accepted.push(socket));
  owners = new SocketOwners();
});

afterAll(async () => {
  owners.close();
  for (const socket of accepted) socket.destroy();
  await once(server.close(), 'close');
  group?.remove();
});

async function open() {
  const socket = await connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  return { socket, token: readMptcpInfo(socket)!.token! };
}

it('is its user, and nobody when there is no such connection', async () => {
  const { socket, token } = await open();
  expect(owners.ownerOf(token)).toMatchObject({ uid: process.getuid!() });
  expect(owners.ownerOf(token ^ 0x5555)).toBeUndefined();
  socket.destroy();
  await once(socket, 'close');
  await expect.poll(() => owners.ownerOf(token), { interval: 5, timeout: 20_000 }).toBeUndefined();
});

async function testControlGroup(): Promise<void> {
  const outside = ControlGroup.current();
  const before = await open();
  expect(owners.ownerOf(before.token)!.cgroup).toBe(outside);
  // A group that the first look did not see.
  await group!.during(async () => {
    const inside = await open();
    expect(owners.ownerOf(inside.token)!.cgroup).toBe(group!.path);
    expect(owners.ownerOf(before.token)!.cgroup).toBe(outside);
    inside.socket.destroy();
  });
  before.socket.destroy();
}
// Only root of the host can make one.
if (isHostRoot) it('is its control group', testControlGroup);
