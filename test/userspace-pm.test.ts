/**
 * The commands of the userspace path manager, carried out by the kernel and seen at the other end. The hosts and their
 * two links are those of support/two-hosts.ts; `a` connects and decides, `b` only follows.
 */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectFd } from '../src/mptcp/connect.ts';
import {
  createServer,
  EndpointFlag,
  EventType,
  listConnections,
  MptcpSocket,
  PathManager,
  watchMptcpEvents,
  writeSysctl,
  type MptcpEvent,
  type MptcpServer,
} from '../src/mptcp/index.ts';
import { NetlinkError } from '../src/netlink/index.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';

/** For what the kernel does in its own time: looks often, gives up only when it will never be. */
const SOON = { interval: 5, timeout: 20_000 };

let hosts: TwoHosts;
let server: MptcpServer;
let manager: PathManager;
const accepted: Socket[] = [];
const connected: Socket[] = [];
const eventsA: MptcpEvent[] = [];
const eventsB: MptcpEvent[] = [];
const watches: { close(): void }[] = [];

beforeAll(async () => {
  hosts = makeTwoHosts('weft-upm');
  // What `a` announces must not make the kernel of `b` act by itself.
  hosts.ipB('mptcp', 'limits', 'set', 'add_addr_accepted', '0', 'subflows', '8');
  writeSysctl('path_manager', 'userspace', { netns: hosts.netnsA });
  server = await hosts.onB(() => createServer({}, (socket) => accepted.push(socket)));
  manager = PathManager.open({ netns: hosts.netnsA });
  for (const [netns, events] of [
    [hosts.netnsA, eventsA],
    [hosts.netnsB, eventsB],
  ] as const) {
    const onOverrun = () => expect.unreachable();
    watches.push(watchMptcpEvents({ onEvent: (event) => events.push(event), onOverrun }, { netns }));
  }
});

afterEach(async () => {
  const sockets = [...accepted.splice(0), ...connected.splice(0)];
  await Promise.all(sockets.map((socket) => once(socket.destroy(), 'close')));
  eventsA.length = 0;
  eventsB.length = 0;
});

afterAll(async () => {
  for (const watch of watches) watch.close();
  manager.close();
  await new Promise((resolve) => server.close(resolve));
  hosts.remove();
});

/** The first event of that type (of that connection), which may still have to come. */
async function eventOf(events: readonly MptcpEvent[], type: number, token?: number): Promise<MptcpEvent> {
  const found = () =>
    events.find((event) => event.type === type && (token === undefined || event.token === token));
  await expect.poll(found, SOON).toBeDefined();
  return found()!;
}

describe.each([
  { family: 'IPv4', to: '10.9.1.2', local: '10.9.2.1', remote: '10.9.2.2' },
  { family: 'IPv6', to: 'fd09:1::2', local: 'fd09:2::1', remote: 'fd09:2::2' },
])('over $family', ({ to, local, remote }) => {
  const port = () => (server.address() as AddressInfo).port;

  /** A connection over the first link, and its tokens at both ends. */
  async function establish() {
    const socket = new MptcpSocket(await hosts.onA(() => connectFd({ address: to, port: port() })));
    connected.push(socket);
    // The other end knows after the first data that it is fully established.
    socket.write('x');
    const [atA, atB] = [
      await eventOf(eventsA, EventType.established),
      await eventOf(eventsB, EventType.established),
    ];
    await expect.poll(() => accepted.length, SOON).toBe(1);
    return { socket, token: atA.token!, peerToken: atB.token! };
  }

  const subflowsOf = (token: number, netns: string) =>
    listConnections({ netns }).find((connection) => connection.token === token)?.subflows ?? [];

  it('announces an address and withdraws it', async () => {
    const { token, peerToken } = await establish();
    manager.announce(token, { address: local, id: 5, flags: EndpointFlag.signal });
    const announced = await eventOf(eventsB, EventType.announced, peerToken);
    expect(announced.remoteId).toBe(5);
    expect(announced.destinationAddress4 ?? announced.destinationAddress6).toBe(local);

    manager.remove(token, 5);
    expect(await eventOf(eventsB, EventType.removed, peerToken)).toMatchObject({ remoteId: 5 });
    expect(() => manager.remove(token, 5)).toThrow(NetlinkError);
  });

  it('makes a subflow, makes it backup and normal again, and closes it', async () => {
    const { socket, token, peerToken } = await establish();
    manager.createSubflow(token, {
      local: { address: local, id: 7 },
      remote: { address: remote, port: port() },
    });
    const made = await eventOf(eventsA, EventType.subflowEstablished, token);
    expect(made).toMatchObject({ localId: 7, destinationPort: port(), backup: 0 });
    expect(made.sourceAddress4 ?? made.sourceAddress6).toBe(local);
    expect(made.destinationAddress4 ?? made.destinationAddress6).toBe(remote);
    expect(await eventOf(eventsB, EventType.subflowEstablished, peerToken)).toMatchObject({
      remoteId: 7,
    });
    expect(subflowsOf(token, hosts.netnsA).map((subflow) => [subflow.localAddress, subflow.localId])).toEqual(
      [
        [socket.localAddress, 0],
        [local, 7],
      ],
    );

    const ends = {
      local: { address: local, port: made.sourcePort!, id: 7 },
      remote: { address: remote, port: port() },
    };
    for (const [flags, backup] of [
      [EndpointFlag.backup, 1],
      [0, 0],
    ] as const) {
      eventsB.length = 0;
      manager.setSubflowFlags(token, { ...ends, local: { ...ends.local, flags } });
      expect(await eventOf(eventsB, EventType.subflowPriority, peerToken)).toMatchObject({
        remoteId: 7,
        backup,
      });
      expect(subflowsOf(peerToken, hosts.netnsB).map((subflow) => subflow.backupRemote)).toEqual([
        false,
        backup === 1,
      ]);
    }

    manager.destroySubflow(token, ends);
    expect(await eventOf(eventsA, EventType.subflowClosed, token)).toMatchObject({ localId: 7 });
    expect(await eventOf(eventsB, EventType.subflowClosed, peerToken)).toMatchObject({ remoteId: 7 });
    expect(subflowsOf(token, hosts.netnsA)).toHaveLength(1);
    expect(() => manager.destroySubflow(token, ends)).toThrow(/close subflow to .* \(ESRCH\)/);
  });

  it('passes on what the kernel says of a connection or an address that there is not', async () => {
    const { token } = await establish();
    expect(() => manager.announce(token ^ 1, { address: local, id: 5, flags: EndpointFlag.signal })).toThrow(
      /^announce .*: invalid token \(EINVAL\)$/,
    );
    expect(() => manager.remove(token, 77)).toThrow(/^withdraw address id 77: .* \(EINVAL\)$/);
    const attempt = () =>
      manager.createSubflow(token, {
        local: { address: '192.0.2.1' },
        remote: { address: remote, port: port() },
      });
    expect(attempt).toThrow(/^create subflow to /);
  });
});
