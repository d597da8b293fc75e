import { afterEach, expect, it, vi } from 'vitest';
import {
  AF_UNIX,
  check,
  closeFd,
  libc,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
} from '../../native/index.ts';
import { PacketMemory } from './packet-memory.ts';
import { OutboundPath, PathSender } from './path-sender.ts';
import { newCounterBlock, OutboundPathCounter } from './protocol.ts';

const fds: number[] = [];
afterEach(() => {
  for (const fd of fds.splice(0)) closeFd(fd);
  vi.restoreAllMocks();
});

/** Stands for a path: full after a few datagrams, until they are read at the other end. */
function socketPair(): readonly [number, number] {
  const pair = new Int32Array(2);
  const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  check(libc.socketpair(AF_UNIX, type, 0, new Uint8Array(pair.buffer)), 'socketpair');
  fds.push(...pair);
  return [pair[0]!, pair[1]!];
}

it('waits for a path that takes little all the time now and then only, not each time that it is full', () => {
  const memory = new PacketMemory(1 << 20);
  let nowMs = 1000;
  const sender = new PathSender(memory, { send: () => {}, nowMs: () => nowMs });
  const [fd, farEnd] = socketPair();
  const counters = new Float64Array(newCounterBlock());
  const description = {
    fd,
    remoteSockaddr: new Uint8Array(0),
    remoteAddress: new Uint8Array(16),
    datagramBytesMax: 1400,
    segmentation: false,
    pinned: { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] },
    view: { isUsable: true, weight: 1 },
  };
  const path = new OutboundPath(0, 0, description, counters, undefined);
  const poll = vi.spyOn(libc, 'poll');
  const at = memory.reserve(200);
  const send = (count: number) => {
    for (let i = 0; i < count; i++) sender.add(path, at, 100, at + 100, 100);
    sender.flush();
  };
  const buffer = new Uint8Array(300);
  // More than such a socket takes (net.unix.max_dgram_qlen is 512 at most).
  for (let i = 0; i < 10; i++) send(60);
  expect(poll).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 10; i++) {
    // One goes through, and what follows finds it full again.
    expect(libc.recv(farEnd, buffer, buffer.length, 0)).toBe(200);
    send(3);
  }
  expect(poll).toHaveBeenCalledTimes(1);
  const sent = counters[path.counterAt + OutboundPathCounter.packets]!;
  const dropped = counters[path.counterAt + OutboundPathCounter.dropped]!;
  expect(sent).toBeGreaterThan(10);
  expect(sent + dropped).toBe(630);
  nowMs += 300;
  send(3);
  send(3);
  expect(poll).toHaveBeenCalledTimes(2);
});
