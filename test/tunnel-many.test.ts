/**
 * One server for many: 100 peers create connections at one `mptsrv`, and each is served apart.
 *
 *   server  eth0 10.20.0.1/16 ──────── eth0 10.20.1.0 … 10.20.1.99  peers, all in one node
 *           tun0 10.0.0.1/16                tun0 … tun99, 10.0.1.0 … 10.0.1.99
 *
 * The peers are the stand-in for the original, so that the test's process can be all of them. Their node has 100 tunnels
 * to one address, so packets are put into each peer by hand, below its device.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { BuiltTopology, diffSnapshots, prefix, takeSnapshot } from '../src/lab/index.ts';
import { executeCommand } from './support/mpt-peer-commands.ts';
import { MptPeer } from './support/mpt-peer.ts';
import { section, TunnelFolder } from './support/tunnel-config.ts';
import { eventually, TunnelServer } from './support/tunnel-lab.ts';

const PEERS = 100;
const AT_ONCE = 20;
const COMMAND_PORT = 60_456;
const SERVER = '10.20.0.1';

const peerAddress = (peer: number) => `10.20.1.${peer}`;
const tunnelAddress = (peer: number) => `10.0.1.${peer}`;

let built: BuiltTopology;
let server: TunnelServer | undefined;
let folder: TunnelFolder;
const peers: MptPeer[] = [];

afterEach(async () => {
  await Promise.all(peers.splice(0).map((peer) => peer.stop()));
  await server?.stop().catch(() => {});
  server = undefined;
  await built.close();
  folder.remove();
});

const general = (port: number, acceptRemote: 0 | 1) =>
  section('general', { tunnel_num: 1, accept_remote: acceptRemote, cmdport_local: port, cmd_timeout: 15 });

const pathKeys = (own: string, remote: string | undefined) => ({
  interface_name: 'eth0',
  ip_ver: 4,
  public_ipaddr: own,
  private_ipaddr: own,
  gw_ipaddr: own,
  remote_ipaddr: remote,
  keepalive_time: 1,
  dead_time: 30,
  weight_in: 1,
  weight_out: 1,
});

const connectionKeys = (name: string, port: number) => ({
  name,
  permission: 3,
  ip_ver: 4,
  local_port: port,
  path_count: 1,
  network_count: 0,
  status: 0,
  reorder_window: 64,
  max_buffdelay_msec: 100,
  auth_type: 1,
});

const serverTexts = {
  interface:
    general(COMMAND_PORT, 1) +
    section('tun_0', { name: 'tun0', mtu: 1440, ipv4_addr: '10.0.0.1/16', ipv6_addr: '::/0' }),
  template:
    section('connection', { ...connectionKeys('template', 30_000), ip_local: '10.0.0.1' }) +
    section('path_0', pathKeys(SERVER, undefined)),
  connections: {},
};

function peerTexts(peer: number) {
  const link = { name: `tun${peer}`, mtu: 1440, ipv4_addr: `${tunnelAddress(peer)}/32`, ipv6_addr: '::/0' };
  const connection = {
    ...connectionKeys(`peer${peer}`, 31_000),
    ip_local: tunnelAddress(peer),
    ip_remote: '10.0.0.1',
    remote_port: 30_000,
    remote_cmd_port: COMMAND_PORT,
  };
  const text = section('connection', connection) + section('path_0', pathKeys(peerAddress(peer), SERVER));
  return {
    interface: general(COMMAND_PORT, 0) + section('tun_0', link),
    template: section('connection', { path_count: 0 }),
    connections: { 'server.conf': text },
  };
}

const checksum = (bytes: Buffer): number => {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
};

/** An ICMP echo request of a peer's tunnel address to the server's. */
function echoRequest(peer: number, sequence: number): Buffer {
  const packet = Buffer.alloc(28 + 32);
  packet.writeUInt16BE(0x4500, 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(0x4001, 8);
  for (const [at, address] of [
    [12, tunnelAddress(peer)],
    [16, '10.0.0.1'],
  ] as const) {
    for (const [index, part] of address.split('.').entries()) packet[at + index] = Number(part);
  }
  packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
  packet[20] = 8;
  packet.writeUInt16BE(peer, 24);
  packet.writeUInt16BE(sequence, 26);
  packet.writeUInt16BE(checksum(packet.subarray(20)), 22);
  return packet;
}

describe('100 connections at one server', () => {
  it('are created by their peers, carry packets each its own, outlive each other, and leave nothing', async () => {
    built = await BuiltTopology.build({
      nodes: [
        { name: 'server', routes: [] },
        { name: 'peers', routes: [] },
      ],
      links: [
        {
          name: 'eth0',
          ends: [
            { node: 'server', name: 'eth0', addresses: [prefix(`${SERVER}/16`)] },
            {
              node: 'peers',
              name: 'eth0',
              addresses: Array.from({ length: PEERS }, (_, peer) => prefix(`${peerAddress(peer)}/16`)),
            },
          ],
        },
      ],
    });
    const node = built.node('server');
    folder = new TunnelFolder(serverTexts);
    const before = takeSnapshot({ netns: node.path });
    server = await TunnelServer.start(node, folder);
    /** What came back to each peer: peer and sequence number of each echo reply. */
    const replies = Array.from({ length: PEERS }, (): string[] => []);
    for (let peer = 0; peer < PEERS; peer++) {
      const onDeliver = (inner: Buffer) => {
        if (inner[9] !== 1 || inner[20] !== 0) return;
        const to = [...inner.subarray(16, 20)].join('.');
        replies[peer]!.push(`${to} ${inner.readUInt16BE(24)} ${inner.readUInt16BE(26)}`);
      };
      const commandAddress = peerAddress(peer);
      peers.push(MptPeer.start(built.node('peers'), peerTexts(peer), { onDeliver, commandAddress }));
    }

    for (let first = 0; first < PEERS; first += AT_ONCE) {
      const some = peers.slice(first, first + AT_ONCE);
      // oxlint-disable-next-line no-await-in-loop -- the original gives up after three seconds, and this machine may be busy
      const answers = await Promise.all(some.map((peer) => executeCommand(peer, 'create server.conf')));
      for (const answer of answers) expect(answer).toEqual({ ok: true, text: 'create server.conf' });
    }
    const { connections } = await server.status();
    expect(connections).toHaveLength(PEERS);
    expect(new Set(connections.map(({ localPort }) => localPort)).size).toBe(PEERS);
    expect(new Set(connections.map(({ remoteAddress }) => remoteAddress)).size).toBe(PEERS);

    const echo = async (rounds: readonly number[], asking: readonly number[]) => {
      for (const list of replies) list.length = 0;
      for (const round of rounds) {
        for (const peer of asking) peers[peer]!.connections[0]!.sendPacket(echoRequest(peer, round));
      }
      await eventually('each peer has its replies', () =>
        asking.every((peer) => replies[peer]!.length >= rounds.length),
      ).catch(() => {});
      for (const peer of asking) {
        expect(replies[peer]).toEqual(rounds.map((round) => `${tunnelAddress(peer)} ${peer} ${round}`));
      }
    };
    const everybody = Array.from({ length: PEERS }, (_, peer) => peer);
    await echo([1, 2, 3, 4, 5], everybody);
    for (const connection of (await server.status()).connections) {
      expect(connection).toMatchObject({
        sentPackets: 5,
        receivedPackets: 5,
        late: 0,
        duplicate: 0,
        missing: 0,
      });
      expect(connection.paths[0]).toMatchObject({ status: 0, malformed: 0 });
    }

    // Each tells the server of its own path, again all at once.
    const changes = await Promise.all(
      peers.map((peer, index) => executeCommand(peer, `path down ${peerAddress(index)} ${SERVER}`)),
    );
    for (const { ok } of changes) expect(ok).toBe(true);

    // One that goes costs the others nothing.
    const gone = connections.find(({ remoteAddress }) => remoteAddress === tunnelAddress(42))!;
    expect((await server.mpt('delete', gone.file)).stdout).toContain('CMD_OK:delete');
    expect((await server.status()).connections).toHaveLength(PEERS - 1);
    await Promise.all(peers.map((peer) => executeCommand(peer, 'restart')));
    await echo(
      [6, 7],
      everybody.filter((peer) => peer !== 42),
    );
    expect(await server.stop()).toBe(0);
    expect(diffSnapshots(before, takeSnapshot({ netns: node.path }))).toEqual([]);
  });
});
