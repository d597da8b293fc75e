/**
 * The inbound thread: datagrams of all paths become packets of the TUN device.
 *
 *   wait → read (recvmmsg, UDP_GRO) → is it the peer? → split → what is it? ─┬─ keepalive ──► main thread
 *                                                                            └─ data → number → order → merge → TUN
 *
 * A turn, in order: wait → of each connection, read the paths that have something and take their packets by number →
 * give up what waited too long → write what is being merged → messages of the main thread.
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
import { ErrorQueue, MESSAGES, READER_MEMORY_BYTES } from './datagram-reader.ts';
import { InboundConnection } from './inbound-connection.ts';
import { InboundLane, LANE_MEMORY_BYTES, type LaneHost } from './inbound-lane.ts';
import { InboundPath } from './inbound-path.ts';
import { TCP } from './inner-packet.ts';
import { PacketMemory } from './packet-memory.ts';
import { PacketSlots, SEGMENTS_MAX, SLOTS_MEMORY_BYTES } from './packet-slots.ts';
import {
  COUNTED_PATHS_MAX,
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
/** BOUNDED: reads of one connection in a turn, each of at most `MESSAGES` messages. */
const READS_A_TURN = 64;
/** A path that brought nothing for so long is read only when it has something. */
const RECENT_MS = 100;
/** What one read may need. */
const SLOTS_MIN = MESSAGES * SEGMENTS_MAX;
const MEMORY_BYTES =
  SLOTS_MEMORY_BYTES +
  MERGER_MEMORY_BYTES +
  WRITER_MEMORY_BYTES +
  COUNTED_PATHS_MAX * (READER_MEMORY_BYTES + LANE_MEMORY_BYTES) +
  4096;

/** How a thread of the data plane talks to the main thread. */
export interface DataThreadPort {
  /** The next message, oldest first. */
  receive(): ToDataThread | undefined;
  send(message: FromDataThread): void;
}

export class InboundLoop implements LaneHost {
  readonly #loop: EpollLoop;
  readonly #port: DataThreadPort;
  readonly #memory = new PacketMemory(MEMORY_BYTES);
  readonly #slots = new PacketSlots(this.#memory);
  readonly #merger: SegmentMerger;
  /** As many as a connection has paths. */
  readonly #lanes: readonly InboundLane[];
  readonly #errorReader = new ErrorQueue(this.#memory);
  /** BOUNDED by CONNECTIONS_MAX. */
  readonly #connections = new Map<number, InboundConnection>();
  /** By epoll key. BOUNDED by CONNECTIONS_MAX times the paths of a connection. */
  readonly #paths: (InboundPath | undefined)[] = [];
  readonly #owners: (InboundConnection | undefined)[] = [];
  readonly #freeKeys: number[] = [];
  /** Connections with packets that wait. BOUNDED: each once. */
  #waiting: InboundConnection[] = [];
  /** Connections with something to read, this turn. BOUNDED: each once. */
  readonly #ready: InboundConnection[] = [];
  #readsLeft = 0;
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
    this.#lanes = Array.from(
      { length: COUNTED_PATHS_MAX },
      () => new InboundLane(this.#memory, this.#slots, this.#merger, this),
    );
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
      else this.#noteReady(key, this.#loop.eventsAt(i));
    }
    for (const connection of this.#ready) this.#readConnection(connection);
    this.#ready.length = 0;
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

  /** Notes that a path has something to read. */
  #noteReady(key: number, events: number): void {
    const path = this.#paths[key];
    const connection = this.#owners[key];
    if (path === undefined || connection === undefined) return;
    if ((events & EPOLLERR) !== 0) this.#takeErrors(path);
    path.isReady = true;
    if (connection.isReady) return;
    connection.isReady = true;
    this.#ready.push(connection);
  }

  #readConnection(connection: InboundConnection): void {
    const { paths } = connection;
    const lanes = this.#lanes;
    let count = 0;
    let messages = 0;
    this.#readsLeft = READS_A_TURN;
    for (const path of paths) {
      if (!path.isReady) continue;
      const lane = lanes[count++]!;
      lane.begin(connection, path, this.#nowMs);
      messages += lane.messagesRead;
    }
    if (messages > 1) {
      // What was read last may be newer than what a path, then empty, has got since.
      for (const path of paths) {
        if (!path.isReady && path.isHeardSince(this.#nowMs - RECENT_MS)) {
          lanes[count++]!.begin(connection, path, this.#nowMs);
        }
      }
    }
    for (const path of paths) path.isReady = false;
    connection.isReady = false;
    if (count === 1) this.#deliverAll(lanes[0]!);
    else this.#deliverInOrder(count);
    if (!connection.isListed && connection.waiting > 0) {
      connection.isListed = true;
      this.#waiting.push(connection);
    }
  }

  #deliverAll(lane: InboundLane): void {
    while (lane.hasHead) lane.deliver();
  }

  /** Always the head that goes before the others. */
  #deliverInOrder(count: number): void {
    const lanes = this.#lanes;
    for (;;) {
      let lowest: InboundLane | undefined;
      let second: InboundLane | undefined;
      for (let i = 0; i < count; i++) {
        const lane = lanes[i]!;
        if (!lane.hasHead) continue;
        if (lowest === undefined || lane.isBefore(lowest)) {
          second = lowest;
          lowest = lane;
        } else if (second === undefined || lane.isBefore(second)) second = lane;
      }
      if (lowest === undefined) return;
      if (second === undefined) return this.#deliverAll(lowest);
      do lowest.deliver();
      while (lowest.hasHead && lowest.isBefore(second));
    }
  }

  prepareRead(): boolean {
    if (this.#readsLeft === 0) return false;
    this.#readsLeft--;
    this.#makeRoom();
    return true;
  }

  passKeepalive(
    connection: InboundConnection,
    path: InboundPath,
    at: number,
    lengthBytes: number,
    senderAt: number,
    isFromPeer: boolean,
  ): void {
    if (!path.mayPass(this.#memory, at, lengthBytes, isFromPeer, this.#nowMs)) return;
    const arrival = path.describeKeepalive(this.#memory, at, lengthBytes, senderAt, isFromPeer);
    this.#port.send({ ...arrival, id: connection.id, arrivedUs: monotonicUs() });
  }

  /** Errors of the network (ICMP, link down) are told by a read, and nothing else follows from them here. */
  handleReadError(path: InboundPath, errno: number): void {
    if (errno !== EBADF && errno !== ENOTSOCK) return;
    this.#loop.remove(path.fd);
    const id = this.#owners[path.key]?.id;
    const text = `path ${path.index} of connection ${id} is not read any more: its socket is none (${errnoName(errno)})`;
    this.#port.send({ kind: 'trouble', text });
  }

  /** Empties a socket's queue of errors, which would keep the loop awake. */
  #takeErrors(path: InboundPath): void {
    const reader = this.#errorReader;
    for (let i = 0; i < ERRORS_A_TURN && reader.readError(path.fd, MSG_ERRQUEUE | MSG_DONTWAIT); i++);
  }

  /** Sees to free buffers for a read and to slots for what it may bring. */
  #makeRoom(): void {
    const slots = this.#slots;
    if (slots.freeBuffers >= MESSAGES && slots.freeSlots >= SLOTS_MIN) return;
    this.#merger.flushAll();
    while (slots.freeBuffers < MESSAGES || slots.freeSlots < SLOTS_MIN) {
      if (slots.freeSlots >= SLOTS_MIN && slots.keepOne()) continue;
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
          this.#connections.get(message.id)?.setViews(message.views, this.#nowMs);
          this.#merger.flushAll();
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
    if (description.reorderWindow > 0) this.#slots.touch();
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
    const views = description.paths.map(({ view }) => view);
    connection.setViews(views, this.#nowMs);
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
