/**
 * The inbound thread against the kernel, packet by packet: a peer made of two bare sockets sends what it likes, and what
 * comes out of the device is received by an ordinary UDP socket.
 *
 *   peer  10.9.1.1:4754 ── v1 ── 10.9.1.2:4754 ─┐
 *         10.9.2.1:4754 ── v2 ── 10.9.2.2:4754 ─┴─ inbound thread ─ tun0 10.0.0.2 ─ UDP socket, port 5201
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { AF_INET } from '../src/base/index.ts';
import {
  bindSocket,
  closeFd,
  emitSockaddr,
  libc,
  openSocket,
  setIntOption,
  SO_RCVBUFFORCE,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  SOL_UDP,
  UDP_SEGMENT,
} from '../src/native/index.ts';
import { DataPlane } from '../src/tunnel/data/data-plane.ts';
import { emitKeepalive, emitPlainHeader, emitSequencedHeader } from '../src/tunnel/index.ts';
import { DATA_PORTS, DataPlaneEnd, type EndsOptions } from './support/data-plane-ends.ts';
import { makeInnerPacket, testContent } from './support/inner-packets.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';

const PORT = DATA_PORTS[0];
const NEVER_MS = 100_000;
const TIMEOUT = { timeout: 20_000, interval: 3 };

let hosts: TwoHosts;
let peer: readonly number[];
let stranger: number;
let inner: number;
let end: DataPlaneEnd;

const udpSocket = (on: <T>(work: () => T) => T, address: string, port: number): number => {
  const fd = on(() => openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  bindSocket(fd, { address, port });
  setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);
  return fd;
};

beforeAll(() => {
  hosts = makeTwoHosts('in');
  hosts.ipA('address', 'add', '10.9.1.9/24', 'dev', 'v1');
  peer = [1, 2].map((net) => udpSocket(hosts.onA, `10.9.${net}.1`, PORT));
  stranger = udpSocket(hosts.onA, '10.9.1.9', PORT);
});

afterAll(() => {
  for (const fd of [...peer, stranger]) closeFd(fd);
  hosts.remove();
});

afterEach(async () => {
  closeFd(inner);
  await end.close();
  expect(end.failures.map(String)).toEqual([]);
});

async function start(connection: EndsOptions['connection'] = {}): Promise<void> {
  end = new DataPlaneEnd(hosts, 2, { connection: { maxDelayMs: NEVER_MS, ...connection } });
  inner = udpSocket(hosts.onB, '10.0.0.2', 5201);
  await end.start();
}

const send = (fd: number, net: number, datagram: Uint8Array): void => {
  const to = emitSockaddr({ address: `10.9.${net}.2`, port: PORT });
  expect(libc.sendto(fd, datagram, datagram.length, 0, to, to.length)).toBe(datagram.length);
};

const numberBytes = (number: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
};

/** A data datagram whose packet says `number`; with that number, or without one. */
function datagramOf(number: number, hasNumber = true, fill = 0) {
  const payload = Buffer.concat([numberBytes(number), testContent(fill, number)]);
  const packet = makeInnerPacket({ version: 4, protocol: 17, flow: 1, payload });
  const out = new Uint8Array(8 + packet.length);
  const at = hasNumber ? emitSequencedHeader(out, 0, 4, number) : emitPlainHeader(out, 0, 4);
  out.set(packet, at);
  return out.subarray(0, at + packet.length);
}

const sendNumber = (path: number, number: number, hasNumber = true) =>
  send(peer[path]!, path + 1, datagramOf(number, hasNumber));

const buffer = new Uint8Array(2000);

/** The numbers that came out of the device, in their order, until there are `count`. */
async function receive(count: number): Promise<number[]> {
  const numbers: number[] = [];
  const read = () => {
    while (libc.recv(inner, buffer, buffer.length, 0) >= 4) {
      numbers.push(new DataView(buffer.buffer).getUint32(0));
    }
    return numbers.length;
  };
  await expect.poll(read, TIMEOUT).toBeGreaterThanOrEqual(count);
  return numbers;
}

const received = () => end.counters(0).received;
const onPath = (path: number) => end.counters(0).paths[path]!.received;
const untilPackets = (count: number) => expect.poll(() => received().packets, TIMEOUT).toBe(count);
const numbersTo = (count: number) => Array.from({ length: count }, (_, i) => i);

it('puts the packets of two paths into their order, and counts them by path', async () => {
  await start();
  for (let number = 0; number < 40; number += 2) sendNumber(0, number);
  await untilPackets(20);
  expect(received().waiting).toBe(19);
  for (let number = 1; number < 40; number += 2) sendNumber(1, number);
  expect(await receive(40)).toEqual(numbersTo(40));
  await expect.poll(() => received().waiting, TIMEOUT).toBe(0);
  expect(received()).toMatchObject({ packets: 40, bytes: 40 * 40, late: 0, duplicate: 0, missing: 0 });
  expect(onPath(0)).toMatchObject({ packets: 20, bytes: 800, strangers: 0, malformed: 0 });
  expect(onPath(1).lastDataMs).toBeGreaterThan(0);
});

it('takes many datagrams with one read where the sender segmented them, in both orders of the paths', async () => {
  await start();
  const each = datagramOf(0, true, 1000);
  for (const [at, fd] of peer.entries()) {
    setIntOption(fd, SOL_UDP, UDP_SEGMENT, each.length);
    const batch = Array.from({ length: 50 }, (_, i) => datagramOf(2 * i + at, true, 1000));
    send(fd, at + 1, Buffer.concat(batch));
    setIntOption(fd, SOL_UDP, UDP_SEGMENT, 0);
  }
  expect(await receive(100)).toEqual(numbersTo(100));
  expect(onPath(0).reads + onPath(1).reads).toBeLessThan(10);
});

it('gives up what does not come within the delay, and drops it when it comes later', async () => {
  await start({ maxDelayMs: 30 });
  for (const number of [0, 2, 3, 5]) sendNumber(0, number);
  expect(await receive(4)).toEqual([0, 2, 3, 5]);
  expect(received()).toMatchObject({ missing: 2, late: 0, waiting: 0 });
  sendNumber(1, 1);
  sendNumber(0, 6);
  sendNumber(1, 4);
  sendNumber(0, 7);
  expect(await receive(2)).toEqual([6, 7]);
  await expect.poll(() => received().late, TIMEOUT).toBe(2);
});

it('lets every number pass once', async () => {
  await start();
  for (const number of [0, 0, 2, 2, 1, 1, 3]) sendNumber(number % 2, number);
  expect(await receive(4)).toEqual([0, 1, 2, 3]);
  await untilPackets(7);
  const { late, duplicate } = received();
  expect(late + duplicate).toBe(3);
});

it('counts what comes again as copies where both ends duplicate', async () => {
  await start({ scheduler: 'redundant', dropsCopies: true });
  for (const number of [0, 2, 1]) for (const path of [0, 1]) sendNumber(path, number);
  expect(await receive(3)).toEqual([0, 1, 2]);
  await expect.poll(() => received().copies, TIMEOUT).toBe(3);
  expect(received()).toMatchObject({ late: 0, duplicate: 0, missing: 0 });
});

it('drops copies where nothing is put in order', async () => {
  await start({ reorderWindow: 0, dropsCopies: true, scheduler: 'redundant' });
  for (const number of [7, 5, 6]) for (const path of [0, 1]) sendNumber(path, number);
  await untilPackets(6);
  // Of each number the copy that came first, whatever path was read first.
  expect((await receive(3)).toSorted((a, b) => a - b)).toEqual([5, 6, 7]);
  expect(received().copies).toBe(3);
});

it('lets packets without number pass at once', async () => {
  await start();
  sendNumber(0, 0);
  sendNumber(0, 2);
  sendNumber(0, 100, false);
  sendNumber(1, 101, false);
  expect((await receive(3)).toSorted((a, b) => a - b)).toEqual([0, 100, 101]);
  sendNumber(1, 1);
  expect(await receive(2)).toEqual([1, 2]);
});

it('goes on when the peer counts anew', async () => {
  await start();
  for (const number of [90_000, 90_001, 0, 1, 2]) sendNumber(0, number);
  expect(await receive(5)).toEqual([90_000, 90_001, 0, 1, 2]);
  expect(received()).toMatchObject({ restarts: 1, late: 0 });
});

it('keeps the order when the peer turns out to be Weft, or not to be it any more', async () => {
  await start({ dropsCopies: true });
  for (const number of [0, 2]) sendNumber(0, number);
  await untilPackets(2);
  await end.plane.setConnection({ ...end.connections[0]!, dropsCopies: false });
  expect(received().waiting).toBe(1);
  sendNumber(1, 1);
  expect(await receive(3)).toEqual([0, 1, 2]);
  expect(received()).toMatchObject({ late: 0, missing: 0 });
});

it('counts what is no data of the peer, and hands nothing of it on', async () => {
  await start();
  const bad = [
    [0x10, 0, 8, 0, 0, 0, 0],
    [0x90, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 1, 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 8, 0, 0x25, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 8, 0, 0xa2, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0],
    [],
  ];
  for (const bytes of bad) send(peer[0]!, 1, Uint8Array.from(bytes));
  for (let i = 0; i < 5; i++) send(stranger, 1, datagramOf(i));
  for (let i = 0; i < 200; i++) send(peer[1]!, 2, testContent(i, i * 77));
  sendNumber(0, 0);
  expect(await receive(1)).toEqual([0]);
  await expect.poll(() => onPath(0).malformed, TIMEOUT).toBe(bad.length);
  expect(onPath(0)).toMatchObject({ strangers: 5, packets: 1 });
  expect(received().packets - onPath(1).packets).toBe(1);
  expect(end.keepalives.filter(({ isFromPeer }) => !isFromPeer)).toEqual([]);
});

const keepalive = (extension: Uint8Array = new Uint8Array(0)) => {
  const out = new Uint8Array(44 + extension.length);
  emitKeepalive(out, 0, { ipVersion: 4, ipLocal: testContent(16), ipRemote: testContent(16, 9), extension });
  return out;
};

it('passes keepalives on with what had arrived before them, strangers marked', async () => {
  await start();
  const before = process.hrtime.bigint() / 1000n;
  for (let number = 0; number < 6; number += 2) sendNumber(0, number);
  const first = keepalive(testContent(30));
  send(peer[0]!, 1, first);
  sendNumber(0, 6);
  send(stranger, 1, keepalive());
  await expect.poll(() => end.keepalives.length, TIMEOUT).toBe(2);
  const [mine, other] = end.keepalives;
  expect(mine).toMatchObject({
    id: 0,
    path: 0,
    isFromPeer: true,
    fromPort: PORT,
    receivedPackets: 3,
    receivedBytes: 120,
  });
  expect([...mine!.datagram]).toEqual([...first]);
  expect([...mine!.fromAddress]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 1, 1]);
  expect(mine!.arrivedUs).toBeGreaterThanOrEqual(Number(before));
  expect(other).toMatchObject({ isFromPeer: false, receivedPackets: 4 });
  expect([...other!.fromAddress].slice(12)).toEqual([10, 9, 1, 9]);
});

it('does not let a flood of keepalives through', async () => {
  await start();
  for (let i = 0; i < 3000; i++) send(peer[0]!, 1, keepalive());
  for (let i = 0; i < 300; i++) send(stranger, 1, keepalive());
  sendNumber(0, 0);
  expect(await receive(1)).toEqual([0]);
  const { keepalivesDropped } = onPath(0);
  await expect.poll(() => end.keepalives.length, TIMEOUT).toBe(3300 - keepalivesDropped);
  expect(keepalivesDropped).toBeGreaterThan(1000);
});

it('holds thousands of packets that came one by one, until the missing one comes', async () => {
  await start({ reorderWindow: 5000 });
  for (let number = 1; number < 4000; number++) sendNumber(1, number);
  await untilPackets(3999);
  expect(received().waiting).toBe(3999);
  sendNumber(0, 0);
  expect(await receive(4000)).toEqual(numbersTo(4000));
});

it('lets packets that wait go when the connection is removed, and reads its sockets no more', async () => {
  await start();
  for (const number of [90_000, 90_003, 90_005]) sendNumber(0, number);
  await untilPackets(3);
  await end.plane.removeConnection(0);
  expect(await receive(3)).toEqual([90_000, 90_003, 90_005]);
  sendNumber(0, 90_006);
  await end.plane.setConnection(end.connections[0]!);
  // What waited in the socket meanwhile is read then, and the counters go on.
  expect(await receive(1)).toEqual([90_006]);
  expect(received().packets).toBe(4);
});

it('keeps what waits when the connection is set anew, and lets it go when its window changes', async () => {
  await start();
  for (const number of [0, 2]) sendNumber(0, number);
  await untilPackets(2);
  await end.change(0, { innerBytesMax: 1300 });
  expect(received().waiting).toBe(1);
  sendNumber(0, 4);
  sendNumber(1, 1);
  expect(await receive(3)).toEqual([0, 1, 2]);
  await end.change(0, { reorderWindow: 10 });
  expect(await receive(1)).toEqual([4]);
  sendNumber(0, 5);
  expect(await receive(1)).toEqual([5]);
});

it('refuses calls after its end, and ends more than once', async () => {
  await start();
  await end.plane.stop();
  await end.plane.stop();
  end.plane.setViews(0, []);
  await expect(end.plane.setConnection(end.connections[0]!)).rejects.toMatchObject({
    code: 'DATA_PLANE_ENDED',
  });
  await expect(end.plane.removeConnection(0)).rejects.toThrow("the tunnel's data plane has ended: stopped");
});

it('tells once when a thread fails, and what waited for it', async () => {
  await start();
  const [connection] = end.connections;
  const [path] = connection!.paths;
  const broken = { ...connection!, id: 7, paths: [{ ...path!, fd: 99_999 }] };
  await expect(end.plane.setConnection(broken)).rejects.toThrow(
    /inbound thread of the tunnel failed: .*EBADF/,
  );
  await expect(end.plane.setConnection(connection!)).rejects.toThrow("the tunnel's data plane has ended");
  await end.plane.stop();
  expect(end.failures.splice(0).map(String)).toEqual([expect.stringMatching(/inbound thread .*EBADF/)]);
});

it('does not start, and leaves nothing, when a thread cannot', async () => {
  await start();
  const failures: Error[] = [];
  const starting = DataPlane.start({
    tunFd: 99_999,
    hasVirtioHeader: true,
    hasTcpOffload: true,
    hasUdpOffload: true,
    onKeepalive: () => {},
    onTooLong: () => {},
    onTrouble: () => {},
    onFailure: (error) => failures.push(error),
  });
  await expect(starting).rejects.toThrow(/outbound thread of the tunnel failed: .*EBADF/);
  expect(failures).toEqual([]);
});
