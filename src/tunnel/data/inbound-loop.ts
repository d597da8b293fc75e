/**
 * The inbound thread: datagrams of all paths become packets of the TUN device.
 *
 *   wait → read (recvmmsg, UDP_GRO) → is it the peer? → split → what is it? ─┬─ keepalive ──► main thread
 *                                                                            └─ data → number → order → merge → TUN
 *
 * A turn, in order: wait → read each path that has something, once → give up what waited too long → write what is being
 * merged → messages of the main thread. Within a turn packets stay where the kernel put them.
 *
 * Invariants: no packet is in a run of the merger over the end of a turn; the descriptors of a path are used from the
 * message that brings it to the answer `done` of the one that takes it away. BOUNDED: a turn by the number of paths; what
 * waits for order by the reorder windows and, over all connections, by PacketSlots.
 */
import {
  EBADF,
  ENOTSOCK,
  EPOLLERR,
  EPOLLIN,
  errnoName,
  MSG_DONTWAIT,
  monotonicMs,
  monotonicUs,
  WAKE_KEY,
  type EpollLoop,
} from '../../native/index.ts';
import { classifyDatagram, DatagramKind } from '../wire/classify.ts';
import { headerBytesAt, isSequenced, SEQUENCED_HEADER_BYTES, sequenceAt } from '../wire/data-header.ts';
import { DatagramReader, MESSAGES, READER_MEMORY_BYTES } from './datagram-reader.ts';
import { InboundConnection } from './inbound-connection.ts';
import { InboundPath } from './inbound-path.ts';
import { TCP, UDP } from './inner-packet.ts';
import { PacketMemory } from './packet-memory.ts';
import { NO_SLOT, PacketSlots, SEGMENTS_MAX, SLOTS_MEMORY_BYTES } from './packet-slots.ts';
import {
  InboundCounter,
  InboundPathCounter,
  type DataConnection,
  type DataPlaneOptions,
  type FromDataThread,
  type ToDataThread,
} from './protocol.ts';
import { MERGER_MEMORY_BYTES, SegmentMerger } from './segment-merger.ts';
import { TunWriter, WRITER_MEMORY_BYTES } from './tun-writer.ts';

const MSG_ERRQUEUE = 0x2000;
/** BOUNDED: entries taken from a socket's queue of errors. */
const ERRORS_A_TURN = 16;
const SUMS_BYTES = SEGMENTS_MAX * 4;
const MEMORY_BYTES =
  SLOTS_MEMORY_BYTES + READER_MEMORY_BYTES + MERGER_MEMORY_BYTES + WRITER_MEMORY_BYTES + SUMS_BYTES + 4096;
const UNKNOWN_SUM = -1;

/** How a thread of the data plane talks to the main thread. */
export interface DataThreadPort {
  /** The next message, oldest first. */
  receive(): ToDataThread | undefined;
  send(message: FromDataThread): void;
}

export class InboundLoop {
  readonly #loop: EpollLoop;
  readonly #port: DataThreadPort;
  readonly #memory = new PacketMemory(MEMORY_BYTES);
  readonly #slots = new PacketSlots(this.#memory);
  readonly #reader = new DatagramReader(this.#memory, this.#slots);
  readonly #sumsAt = this.#memory.reserve(SUMS_BYTES);
  readonly #merger: SegmentMerger;
  /** BOUNDED by CONNECTIONS_MAX. */
  readonly #connections = new Map<number, InboundConnection>();
  /** By epoll key. BOUNDED by CONNECTIONS_MAX times the paths of a connection. */
  readonly #paths: (InboundPath | undefined)[] = [];
  readonly #owners: (InboundConnection | undefined)[] = [];
  readonly #freeKeys: number[] = [];
  /** Connections with packets that wait. BOUNDED: each once. */
  #waiting: InboundConnection[] = [];
  #nowMs = monotonicMs();
  #stopping = false;

  constructor(loop: EpollLoop, port: DataThreadPort, options: DataPlaneOptions) {
    this.#loop = loop;
    this.#port = port;
    const { tunFd: fd, hasVirtioHeader, hasTcpOffload, hasUdpOffload } = options;
    const totals = new Float64Array(options.inboundCounters);
    const writer = new TunWriter(this.#memory, { fd, hasVirtioHeader, totals });
    this.#merger = new SegmentMerger(this.#memory, this.#slots, writer, {
      mergesTcp: hasVirtioHeader && hasTcpOffload,
      mergesUdp: hasVirtioHeader && hasUdpOffload,
      onRefused: (protocol) => {
        const text = `the device takes no ${protocol === TCP ? 'TCP' : 'UDP'} super-packets; packets go in singly`;
        port.send({ kind: 'trouble', text });
      },
    });
  }

  /** Runs until the main thread says stop. */
  runLoop(): void {
    try {
      this.#port.send({ kind: 'ready' });
      while (!this.#stopping) this.#runTurn();
    } finally {
      this.#loop.close();
    }
  }

  #runTurn(): void {
    const count = this.#loop.wait(this.#waitMs());
    this.#nowMs = monotonicMs();
    let isWoken = false;
    for (let i = 0; i < count; i++) {
      const key = this.#loop.keyAt(i);
      if (key === WAKE_KEY) isWoken = true;
      else this.#readPath(key, this.#loop.eventsAt(i));
    }
    this.#pollWaiting();
    this.#merger.flushAll();
    if (isWoken) this.#takeMessages();
  }

  #waitMs(): number {
    let earliestMs = Infinity;
    for (const connection of this.#waiting) earliestMs = Math.min(earliestMs, connection.deadlineMs);
    if (earliestMs === Infinity) return -1;
    return Math.max(0, Math.ceil(earliestMs - monotonicMs()));
  }

  #readPath(key: number, events: number): void {
    const path = this.#paths[key];
    const connection = this.#owners[key];
    if (path === undefined || connection === undefined) return;
    this.#makeRoom();
    const count = this.#reader.read(path.fd);
    path.count(InboundPathCounter.reads, 1);
    for (let i = 0; i < count; i++) {
      this.#takeMessage(connection, path, i);
      this.#reader.done(i);
    }
    if (count < 0 || (count === 0 && (events & EPOLLERR) !== 0)) this.#handleFailure(path, -count);
    if (!connection.isListed && connection.waiting > 0) {
      connection.isListed = true;
      this.#waiting.push(connection);
    }
  }

  /** What one message brought: datagrams of one sender and one size. */
  #takeMessage(connection: InboundConnection, path: InboundPath, message: number): void {
    const reader = this.#reader;
    const memory = this.#memory;
    const buffer = reader.buffers[message]!;
    const start = this.#slots.bufferAt(buffer);
    const total = reader.lengthOf(message);
    const each = reader.datagramBytesOf(message);
    const senderAt = reader.senderAt(message);
    const isFromPeer = path.isPeer(memory, senderAt);
    if (reader.isCutShort(message)) return path.count(InboundPathCounter.malformed, 1);
    const hasSums = isFromPeer && total > each && this.#mayMerge(start) && this.#sumAll(start, total, each);
    let packets = 0;
    let bytes = 0;
    for (let done = 0, i = 0; done < total; done += each, i++) {
      const at = start + done;
      const length = Math.min(each, total - done);
      const kind = classifyDatagram(memory.bytes, at, length);
      if (kind === DatagramKind.data && isFromPeer) {
        packets++;
        bytes += length;
        const sum = hasSums ? memory.words[(this.#sumsAt >>> 2) + i]! : UNKNOWN_SUM;
        this.#takeData(connection, path, buffer, at, length, sum);
      } else if (kind === DatagramKind.keepalive) {
        if (!isFromPeer) path.count(InboundPathCounter.strangers, 1);
        path.countData(packets, bytes, this.#nowMs);
        packets = 0;
        bytes = 0;
        this.#passKeepalive(connection, path, at, length, senderAt, isFromPeer);
      } else path.count(isFromPeer ? InboundPathCounter.malformed : InboundPathCounter.strangers, 1);
    }
    if (packets === 0) return;
    path.countData(packets, bytes, this.#nowMs);
    connection.counters[InboundCounter.packets]! += packets;
    connection.counters[InboundCounter.bytes]! += bytes;
  }

  #takeData(
    connection: InboundConnection,
    path: InboundPath,
    buffer: number,
    at: number,
    length: number,
    sum: number,
  ): void {
    const { bytes, view } = this.#memory;
    const headerBytes = headerBytesAt(bytes, at);
    let innerSum = sum;
    if (sum >= 0) {
      // The sum of the whole datagram without its header's words.
      innerSum += 4 * 0xffff - view.getUint16(at) - view.getUint16(at + 2);
      if (headerBytes === SEQUENCED_HEADER_BYTES) innerSum -= view.getUint16(at + 4) + view.getUint16(at + 6);
    }
    const slot = this.#slots.take(buffer, at + headerBytes, length - headerBytes, innerSum);
    if (slot === NO_SLOT) return path.count(InboundPathCounter.malformed, 1);
    if (isSequenced(bytes, at)) connection.take(slot, sequenceAt(bytes, at), path.index, this.#nowMs);
    else connection.takePlain(slot);
  }

  /** Whether the message's first packet is of a kind that is merged. */
  #mayMerge(start: number): boolean {
    const { bytes } = this.#memory;
    const at = start + headerBytesAt(bytes, start);
    const protocol = bytes[at]! >>> 4 === 6 ? bytes[at + 6]! : bytes[at + 9]!;
    return protocol === TCP ? this.#merger.mergesTcp : protocol === UDP && this.#merger.mergesUdp;
  }

  #sumAll(start: number, total: number, each: number): boolean {
    if (total > each * SEGMENTS_MAX) return false;
    this.#memory.sumPieces(start, total, each, this.#sumsAt);
    return true;
  }

  #passKeepalive(
    connection: InboundConnection,
    path: InboundPath,
    at: number,
    length: number,
    senderAt: number,
    isFromPeer: boolean,
  ): void {
    if (!path.mayPass(isFromPeer, this.#nowMs)) return;
    const arrival = path.describeKeepalive(this.#memory, at, length, senderAt, isFromPeer);
    this.#port.send({ ...arrival, id: connection.id, arrivedUs: monotonicUs() });
  }

  /** Sees to free buffers for a read and to slots for what it may bring. */
  #makeRoom(): void {
    const slots = this.#slots;
    if (slots.freeBuffers >= MESSAGES && slots.freeSlots >= MESSAGES * SEGMENTS_MAX) return;
    this.#merger.flushAll();
    while (slots.freeBuffers < MESSAGES || slots.freeSlots < MESSAGES * SEGMENTS_MAX) {
      if (slots.freeSlots >= MESSAGES * SEGMENTS_MAX && slots.keepOne()) continue;
      this.#flushFullest();
      this.#merger.flushAll();
    }
  }

  /** The store is full: the connection that holds most of it goes on without what is missing. */
  #flushFullest(): void {
    let fullest: InboundConnection | undefined;
    for (const connection of this.#connections.values()) {
      if (fullest === undefined || connection.waiting > fullest.waiting) fullest = connection;
    }
    if (fullest === undefined || fullest.waiting === 0) throw new Error('received packets have no owner');
    fullest.flush();
  }

  #pollWaiting(): void {
    if (this.#waiting.length === 0) return;
    let kept = 0;
    for (const connection of this.#waiting) {
      connection.poll(this.#nowMs);
      connection.noteWaiting();
      connection.isListed = connection.waiting > 0;
      if (connection.isListed) this.#waiting[kept++] = connection;
    }
    this.#waiting.length = kept;
  }

  /** Errors of the network (ICMP, link down) are told by being read, and nothing else follows from them here. */
  #handleFailure(path: InboundPath, errno: number): void {
    for (let i = 0; i < ERRORS_A_TURN && this.#reader.readError(path.fd, MSG_ERRQUEUE | MSG_DONTWAIT); i++);
    if (errno !== EBADF && errno !== ENOTSOCK) return;
    this.#loop.remove(path.fd);
    const id = this.#owners[path.key]?.id;
    const text = `path ${path.index} of connection ${id} is not read any more: its socket is none (${errnoName(errno)})`;
    this.#port.send({ kind: 'trouble', text });
  }

  #takeMessages(): void {
    this.#loop.wakeFd.clear();
    for (let message = this.#port.receive(); message !== undefined; message = this.#port.receive()) {
      switch (message.kind) {
        case 'connection':
          this.#setConnection(message.connection);
          this.#port.send({ kind: 'done', ticket: message.ticket });
          break;
        case 'remove':
          this.#removeConnection(message.id);
          this.#port.send({ kind: 'done', ticket: message.ticket });
          break;
        case 'views':
          break;
        case 'stop':
          this.#stopping = true;
          break;
      }
    }
  }

  #setConnection(description: DataConnection): void {
    const before = this.#connections.get(description.id);
    if (before !== undefined) this.#forgetPaths(before);
    const connection = new InboundConnection(description, this.#slots, this.#merger, before);
    this.#connections.set(description.id, connection);
    connection.paths = description.paths.map((path, index) => {
      const key = this.#freeKeys.pop() ?? this.#paths.length;
      const inbound = new InboundPath(path, index, key, connection.counters);
      this.#paths[key] = inbound;
      this.#owners[key] = connection;
      this.#loop.add(inbound.fd, EPOLLIN, key);
      return inbound;
    });
    if (before?.isListed === true) {
      this.#waiting = this.#waiting.filter((listed) => listed !== before);
      connection.isListed = true;
      this.#waiting.push(connection);
    }
    this.#merger.flushAll();
  }

  #removeConnection(id: number): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    this.#forgetPaths(connection);
    this.#connections.delete(id);
    connection.flush();
    this.#merger.flushAll();
    this.#waiting = this.#waiting.filter((listed) => listed !== connection);
  }

  #forgetPaths(connection: InboundConnection): void {
    for (const path of connection.paths) {
      this.#loop.remove(path.fd);
      this.#paths[path.key] = undefined;
      this.#owners[path.key] = undefined;
      this.#freeKeys.push(path.key);
    }
    connection.paths = [];
  }
}
