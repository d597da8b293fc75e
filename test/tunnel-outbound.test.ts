/**
 * The outbound thread's loop, turn by turn in this thread: a pair of unix sockets in the place of the TUN device (it keeps
 * packets apart as the device does), sockets of the loopback link as the paths' peers. So what is read in one turn is
 * known, and every datagram can be compared with what it has to be.
 */
import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import { AF_INET } from '../src/base/index.ts';
import {
  AF_UNIX,
  bindSocket,
  check,
  closeFd,
  emitSockaddr,
  EpollLoop,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_PROBE,
  libc,
  localAddressOf,
  monotonicMs,
  openSocket,
  setIntOption,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from '../src/native/index.ts';
import type { PinnedPorts } from '../src/tunnel/config/model.ts';
import { foldSum, sumBytes } from '../src/tunnel/data/checksum-twin.ts';
import { OutboundLoop } from '../src/tunnel/data/outbound-loop.ts';
import {
  newCounterBlock,
  OutboundCounter,
  OutboundTotal,
  type DataConnection,
  type FromDataThread,
  type ToDataThread,
} from '../src/tunnel/data/protocol.ts';

const SOCK_SEQPACKET = 5;
const NONE = { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] };
const usable = { isUsable: true, weight: 1 };

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const later = (fd: number): number => {
  cleanups.push(() => closeFd(fd));
  return fd;
};

function udpSocket(): { readonly fd: number; readonly port: number } {
  const fd = later(openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  bindSocket(fd, { address: '127.0.0.1', port: 0 });
  setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  return { fd, port: localAddressOf(fd)!.port };
}

const buffer = new Uint8Array(70_000);
function receiveAll(fd: number): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (;;) {
    const length = libc.recv(fd, buffer, buffer.length, 0);
    if (length < 0) return all;
    all.push(buffer.slice(0, length));
  }
}

interface Bench {
  /** Gives the loop a packet with its virtio header. */
  readonly give: (bytes: Uint8Array) => void;
  readonly turn: () => void;
  readonly tell: (message: ToDataThread) => void;
  /** What came out at each path. */
  readonly arrived: () => Uint8Array[][];
  /** What came back out of the device. */
  readonly answers: () => Uint8Array[];
  readonly told: FromDataThread[];
  readonly counters: Float64Array;
  readonly totals: Float64Array;
}

function makeBench(
  changes: Partial<DataConnection> = {},
  hasVirtioHeader = true,
  pinned: readonly PinnedPorts[] = [NONE, NONE],
): Bench {
  const pair = new Int32Array(2);
  const type = SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC;
  check(libc.socketpair(AF_UNIX, type, 0, new Uint8Array(pair.buffer)), 'socketpair');
  const [device, tunFd] = [later(pair[0]!), later(pair[1]!)];
  const SO_SNDBUFFORCE = 32;
  setIntOption(device, SOL_SOCKET, SO_SNDBUFFORCE, 64 << 20);
  const peers = [udpSocket(), udpSocket()];
  const counters = new Float64Array(newCounterBlock());
  const totals = new Float64Array(newCounterBlock());
  const connection: DataConnection = {
    id: 3,
    order: 0,
    ipVersion: 4,
    localAddress: Uint8Array.of(10, 0, 0, 1),
    remoteAddress: Uint8Array.of(10, 0, 0, 2),
    sources: [],
    destinations: [],
    isSequenced: true,
    reorderWindow: 0,
    maxDelayMs: 0,
    scheduler: 'weights',
    dropsCopies: false,
    innerBytesMax: 0,
    paths: peers.map(({ port }, index) => ({
      fd: udpSocket().fd,
      remoteSockaddr: emitSockaddr({ address: '127.0.0.1', port }),
      remoteAddress: new Uint8Array(16),
      datagramBytesMax: 9000,
      segmentation: true,
      pinned: pinned[index]!,
      view: usable,
    })),
    outboundCounters: counters.buffer,
    inboundCounters: newCounterBlock(),
    ...changes,
  };
  const told: FromDataThread[] = [];
  const messages: ToDataThread[] = [];
  const epoll = new EpollLoop();
  const loop = new OutboundLoop(
    epoll,
    { receive: () => messages.shift(), send: (message) => told.push(message) },
    {
      tunFd,
      hasVirtioHeader,
      hasTcpOffload: true,
      hasUdpOffload: true,
      outboundCounters: totals.buffer,
      inboundCounters: newCounterBlock(),
    },
  );
  loop.begin();
  cleanups.push(() => epoll.close());
  const tell = (message: ToDataThread) => {
    messages.push(message);
    epoll.wakeFd.wake();
    loop.runTurn();
  };
  tell({ kind: 'connection', ticket: 7, connection });
  expect(told.splice(0)).toEqual([{ kind: 'ready' }, { kind: 'done', ticket: 7 }]);
  return {
    give: (bytes) => {
      check(libc.send(device, bytes, bytes.length, 0), 'send to the loop');
    },
    turn: () => {
      // So that it does not wait when there is nothing.
      epoll.wakeFd.wake();
      loop.runTurn();
    },
    tell,
    arrived: () => peers.map(({ fd }) => receiveAll(fd)),
    answers: () => receiveAll(device),
    told,
    counters,
    totals,
  };
}

interface Packet {
  readonly isTcp: boolean;
  /** 0: one packet. */
  readonly gso: number;
  readonly payload: number;
  readonly seed: number;
}

const IP = 20;

function makeSegment(packet: Packet, payload: Uint8Array, index: number, done: number, isLast: boolean) {
  const transport = packet.isTcp ? 20 : 8;
  const bytes = new Uint8Array(IP + transport + payload.length);
  const view = new DataView(bytes.buffer);
  bytes.set(payload, IP + transport);
  bytes[0] = 0x45;
  view.setUint16(2, bytes.length);
  view.setUint16(4, (packet.seed + index) & 0xffff);
  bytes.set([64, packet.isTcp ? 6 : 17], 8);
  bytes.set([10, 0, 0, 1, 10, 0, 0, 2], 12);
  view.setUint16(10, ~sumBytes(bytes, 0, IP) & 0xffff);
  bytes.set([0x12, 0x34, 0x56, 0x78], IP);
  if (packet.isTcp) {
    view.setUint32(IP + 4, packet.seed + done);
    bytes[IP + 12] = 0x50;
    bytes[IP + 13] = isLast ? 0x18 : 0x10;
  } else view.setUint16(IP + 4, bytes.length - IP);
  const sum = sumBytes(bytes, 12, 8) + bytes[9]! + bytes.length - IP + sumBytes(bytes, IP, bytes.length - IP);
  view.setUint16(IP + (packet.isTcp ? 16 : 6), ~foldSum(sum) & 0xffff || (packet.isTcp ? 0 : 0xffff));
  return bytes;
}

const payloadOf = ({ payload, seed }: Packet) =>
  Uint8Array.from({ length: payload }, (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 24);

/** The packets that have to come out. */
function segmentsOf(packet: Packet): Uint8Array[] {
  const payload = payloadOf(packet);
  const each = packet.gso === 0 ? payload.length : packet.gso;
  const segments: Uint8Array[] = [];
  for (let done = 0; done === 0 || done < payload.length; done += Math.max(1, each)) {
    const isLast = done + each >= payload.length;
    segments.push(makeSegment(packet, payload.subarray(done, done + each), segments.length, done, isLast));
  }
  return segments;
}

/** As the device gives it: virtio header, and one packet whose checksum is still to be done. */
function fromDevice(packet: Packet): Uint8Array {
  const whole = makeSegment(packet, payloadOf(packet), 0, 0, true);
  const given = new Uint8Array(10 + whole.length);
  const view = new DataView(given.buffer);
  given.set(whole, 10);
  given[0] = 1;
  if (packet.gso > 0) given[1] = packet.isTcp ? 1 : 5;
  view.setUint16(4, packet.gso, true);
  view.setUint16(6, IP, true);
  view.setUint16(8, packet.isTcp ? 16 : 6, true);
  const pseudo = sumBytes(whole, 12, 8) + whole[9]! + whole.length - IP;
  view.setUint16(10 + IP + (packet.isTcp ? 16 : 6), foldSum(pseudo));
  return given;
}

const sequenceOf = (datagram: Uint8Array) => new DataView(datagram.buffer).getUint32(4);

/** All datagrams in the order of their numbers, without header; checks that there is each number once. */
function inOrder(arrived: readonly (readonly Uint8Array[])[], first: number): Uint8Array[] {
  const all = arrived.flat().toSorted((a, b) => sequenceOf(a) - sequenceOf(b));
  for (const [i, datagram] of all.entries()) {
    expect([...datagram.subarray(0, 4)]).toEqual([0x10, 0, 8, 0]);
    expect(sequenceOf(datagram)).toBe(first + i);
  }
  return all.map((datagram) => datagram.subarray(8));
}

const packets = fc.record({
  isTcp: fc.boolean(),
  gso: fc.constantFrom(0, 0, 10, 536, 1388),
  payload: fc.oneof(fc.integer({ min: 1, max: 1400 }), fc.integer({ min: 1400, max: 60_000 })),
  seed: fc.nat(0xffff),
});
/** What a device gives: at most 64 segments of UDP, and single packets that fit into the MTU. */
const givenPackets = packets.map(({ isTcp, gso, payload, seed }): Packet => {
  const most = gso === 0 ? 1400 : Math.min(60_000, gso * (isTcp ? 5000 : 64));
  return { isTcp, gso, payload: Math.min(payload, most), seed };
});

it('sends every packet once, whole, in turn over the paths, whatever is read in one turn', () => {
  const bench = makeBench();
  let sent = 0;
  fc.assert(
    fc.property(fc.array(givenPackets, { minLength: 1, maxLength: 30 }), (all) => {
      for (const packet of all) bench.give(fromDevice(packet));
      const expected = all.flatMap(segmentsOf);
      const arrived: Uint8Array[][] = [[], []];
      // A turn ends when the region of packets is used up.
      for (let count = 0; count < expected.length;) {
        bench.turn();
        const now = bench.arrived();
        for (const [path, datagrams] of now.entries()) arrived[path]!.push(...datagrams);
        count = arrived.flat().length;
        expect(now.flat().length).toBeGreaterThan(0);
      }
      const made = inOrder(arrived, sent);
      expect(made.length).toBe(expected.length);
      for (const [i, packet] of expected.entries()) expect(Buffer.compare(made[i]!, packet)).toBe(0);
      for (const [path, datagrams] of arrived.entries()) {
        // Each path gets its own in order, every other one.
        for (const [i, datagram] of datagrams.entries()) {
          expect(sequenceOf(datagram)).toBe(sequenceOf(datagrams[0]!) + 2 * i);
        }
        expect(datagrams.every((datagram) => sequenceOf(datagram) % 2 === path)).toBe(true);
      }
      sent += expected.length;
      expect(bench.counters[OutboundCounter.packets]).toBe(sent);
    }),
    { numRuns: 25 },
  );
  expect(bench.told).toEqual([]);
});

it('sends what is gathered when the headers run out in the middle of a packet', () => {
  const bench = makeBench();
  // 64 segments of 10 bytes each: more headers in one turn than there is room for.
  const packet: Packet = { isTcp: false, gso: 10, payload: 640, seed: 1 };
  const count = 100;
  for (let i = 0; i < count; i++) bench.give(fromDevice(packet));
  bench.turn();
  const made = inOrder(bench.arrived(), 0);
  const expected = segmentsOf(packet);
  expect(made.length).toBe(count * 64);
  for (const [i, datagram] of made.entries()) {
    expect(Buffer.compare(datagram, expected[i % 64]!)).toBe(0);
  }
});

it('keeps a flow on one path when the scheduler is to', () => {
  const bench = makeBench({ scheduler: 'flow' });
  const packet: Packet = { isTcp: true, gso: 1000, payload: 30_000, seed: 9 };
  for (let i = 0; i < 5; i++) bench.give(fromDevice(packet));
  bench.turn();
  const counts = bench.arrived().map(({ length }) => length);
  expect(counts.toSorted((a, b) => a - b)).toEqual([0, 150]);
});

it('sends what is pinned over its path while that may be used, by ports, super-packets too', () => {
  const bench = makeBench({}, true, [NONE, { ...NONE, tcpDestination: [0x5678] }]);
  const tcp: Packet = { isTcp: true, gso: 1000, payload: 10_000, seed: 9 };
  const udp: Packet = { isTcp: false, gso: 1000, payload: 10_000, seed: 9 };
  bench.give(fromDevice(tcp));
  bench.turn();
  expect(bench.arrived().map(({ length }) => length)).toEqual([0, 10]);
  bench.give(fromDevice(udp));
  bench.turn();
  expect(bench.arrived().map(({ length }) => length)).toEqual([5, 5]);
  bench.tell({ kind: 'views', id: 3, views: [usable, { ...usable, isUsable: false }] });
  bench.give(fromDevice(tcp));
  bench.turn();
  expect(bench.arrived().map(({ length }) => length)).toEqual([10, 0]);
});

it('uses nothing of a connection that was removed', () => {
  const bench = makeBench();
  bench.tell({ kind: 'remove', ticket: 8, id: 3 });
  expect(bench.told).toEqual([{ kind: 'done', ticket: 8 }]);
  bench.give(fromDevice({ isTcp: true, gso: 0, payload: 100, seed: 9 }));
  bench.turn();
  expect(bench.arrived().flat()).toEqual([]);
  expect(bench.totals[OutboundTotal.noConnection]).toBe(1);
});

it('reads devices without virtio header', () => {
  const bench = makeBench({ isSequenced: false }, false);
  const [packet] = segmentsOf({ isTcp: false, gso: 0, payload: 77, seed: 5 });
  bench.give(packet!);
  bench.turn();
  const [datagram] = bench.arrived().flat();
  expect([...datagram!.subarray(0, 4)]).toEqual([0, 0, 8, 0]);
  expect(Buffer.compare(datagram!.subarray(4), packet!)).toBe(0);
});

it('survives and counts whatever else comes from the device', () => {
  const bench = makeBench({ innerBytesMax: 1300 });
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 11, maxLength: 300 }),
      fc.constantFrom(0, 0x45, 0x60),
      fc.boolean(),
      (random, first, isOurs) => {
        const given = Uint8Array.from(random);
        if (first !== 0 && given.length > 10) given[10] = first;
        if (isOurs && given.length > 30) given.set([10, 0, 0, 1, 10, 0, 0, 2], 22);
        const before = [bench.totals[OutboundTotal.malformed]!, bench.totals[OutboundTotal.noConnection]!];
        const sent = bench.counters[OutboundCounter.packets]!;
        const tooBig = bench.counters[OutboundCounter.tooBig]!;
        bench.give(given);
        bench.turn();
        const datagrams = bench.arrived().flat().length;
        const counted =
          bench.totals[OutboundTotal.malformed]! +
          bench.totals[OutboundTotal.noConnection]! -
          before[0]! -
          before[1]! +
          bench.counters[OutboundCounter.tooBig]! -
          tooBig;
        expect(bench.counters[OutboundCounter.packets]! - sent).toBe(datagrams);
        expect(datagrams + counted).toBeGreaterThan(0);
      },
    ),
    { numRuns: 400 },
  );
  expect(bench.told).toEqual([]);
});

/** An ICMP answer to a datagram between these ports of the loopback address, as anybody may write it. */
function sendIcmp(code: number, fromPort: number, toPort: number): void {
  const SOCK_RAW = 3;
  const IPPROTO_ICMP = 1;
  const raw = openSocket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  const bytes = new Uint8Array(8 + IP + 8);
  const view = new DataView(bytes.buffer);
  bytes.set([3, code], 0);
  view.setUint16(6, 600);
  bytes.set([0x45, 0, 0, 128, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1], 8);
  view.setUint16(8 + IP, fromPort);
  view.setUint16(8 + IP + 2, toPort);
  view.setUint16(8 + IP + 4, 108);
  view.setUint16(2, ~sumBytes(bytes, 0, bytes.length) & 0xffff);
  const to = emitSockaddr({ address: '127.0.0.1', port: 0 });
  check(libc.sendto(raw, bytes, bytes.length, 0, to, to.length), 'send an ICMP message');
  closeFd(raw);
}

it.each([
  ['port unreachable', 3],
  ['fragmentation needed', 4],
  ['host prohibited', 10],
] as const)('loses nothing and learns nothing when ICMP says "%s" of an earlier datagram', (_, code) => {
  const [from, to] = [udpSocket(), udpSocket()];
  const remoteSockaddr = emitSockaddr({ address: '127.0.0.1', port: to.port });
  check(libc.connect(from.fd, remoteSockaddr, remoteSockaddr.length), 'connect');
  // As with a peer that answers probes.
  setIntOption(from.fd, 0, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  for (const segmentation of [true, false]) {
    const path = {
      fd: from.fd,
      remoteSockaddr,
      remoteAddress: new Uint8Array(16),
      datagramBytesMax: 9000,
      segmentation,
      pinned: NONE,
      view: usable,
    };
    const bench = makeBench({ paths: [path] });
    for (const gso of [0, 536]) {
      sendIcmp(code, from.port, to.port);
      const packet: Packet = { isTcp: true, gso, payload: 1200, seed: 1 };
      bench.give(fromDevice(packet));
      bench.turn();
      expect(receiveAll(to.fd)).toHaveLength(segmentsOf(packet).length);
      expect(bench.told).toEqual([]);
    }
  }
});

it('answers at most so many a second about packets that are too big', () => {
  const bench = makeBench({});
  const big = segmentsOf({ isTcp: false, gso: 0, payload: 9100, seed: 5 })[0]!;
  big[6] = 0x40;
  const given = Uint8Array.of(...new Uint8Array(10), ...big);
  const startedMs = monotonicMs();
  for (let i = 0; i < 100; i++) bench.give(given);
  while (bench.counters[OutboundCounter.tooBig]! < 100) bench.turn();
  const answers = bench.answers();
  expect(answers.length).toBeGreaterThanOrEqual(20);
  expect(answers.length).toBeLessThanOrEqual(20 + 1 + (monotonicMs() - startedMs) / 10);
  for (const answer of answers) {
    expect(answer.length).toBe(10 + 576);
    expect([...answer.subarray(0, 10)]).toEqual(Array.from({ length: 10 }, () => 0));
    expect(new DataView(answer.buffer).getUint16(10 + 26)).toBe(9000 - 8);
  }
});
