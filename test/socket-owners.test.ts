/**
 * Whose a connection's socket is: two programs (this one, and a child in a control group of its own where that can be
 * made) connect over loopback, and are told apart by the tokens of their connections.
 */
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, createServer, readMptcpInfo, type MptcpServer } from '../src/mptcp/index.ts';
import { cgroupMount } from '../src/pathmanager/cgroups.ts';
import { SocketOwners } from '../src/pathmanager/socket-owners.ts';

const MOUNT = cgroupMount(readFileSync('/proc/self/mountinfo', 'utf8'));
const GROUP = `weft-owners-${process.pid}`;

const ownGroup = () => /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];

/** Makes a group, where this process may. */
function makeGroup(): string | undefined {
  if (MOUNT === undefined) return undefined;
  try {
    mkdirSync(join(MOUNT, GROUP));
    return join(MOUNT, GROUP);
  } catch {
    return undefined;
  }
}

let server: MptcpServer;
let owners: SocketOwners;
const accepted: Socket[] = [];
const group = makeGroup();

beforeAll(async () => {
  server = await createServer({}, (socket) => accepted.push(socket));
  owners = new SocketOwners();
});

afterAll(async () => {
  owners.close();
  for (const socket of accepted) socket.destroy();
  await once(server.close(), 'close');
  if (group !== undefined) rmdirSync(group);
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

it.skipIf(group === undefined)('is its control group; needs root and cgroup2', async () => {
  const outside = ownGroup()!;
  const before = await open();
  expect(owners.ownerOf(before.token)!.cgroup).toBe(outside);
  // A group that the first look did not see.
  writeFileSync(join(group!, 'cgroup.procs'), String(process.pid));
  try {
    const inside = await open();
    expect(owners.ownerOf(inside.token)!.cgroup).toBe(`/${GROUP}`);
    expect(owners.ownerOf(before.token)!.cgroup).toBe(outside);
    inside.socket.destroy();
  } finally {
    writeFileSync(join(MOUNT!, outside, 'cgroup.procs'), String(process.pid));
  }
  before.socket.destroy();
});
