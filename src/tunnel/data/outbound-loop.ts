/**
 * The outbound thread: packets from the TUN device out over the paths.
 *
 *   runTurn   wait ─► read packets ─► connection ─► too big? ─► segments ─► path ─► header, number ─► batches ─► send
 *                └──► messages of the main thread
 *
 * A turn reads at most `TURN_READS` packets and as many bytes as the packets' region holds, then sends everything that
 * was gathered, and looks for messages; so nothing waits for the next turn, and no message waits for long.
 *
 * Invariants: packets stay where they were read until their batch was sent, which is before the region is used again.
 * Descriptors are used only between the message that brings them and the answer to the one that takes them away. Nothing
 * is allocated per packet, nothing a packet contains is thrown or logged.
 */
import {
  EAGAIN,
  EINTR,
  EPOLLIN,
  errnoName,
  lastErrno,
  libc,
  monotonicMs,
  monotonicUs,
  WAKE_KEY,
  type EpollLoop,
} from '../../native/index.ts';
import { firstPath, withoutFirstPath } from '../paths/scheduler.ts';
import { flowHash } from '../paths/flow-hash.ts';
import { ConnectionLookup, NO_CONNECTION } from './connection-lookup.ts';
import { Fragmenter, IPV4_HEADER_BYTES_MAX } from './fragmenter.ts';
import { InnerPacket } from './inner-packet.ts';
import { clampMss } from './mss-clamp.ts';
import { IPV6_MTU_MIN, OutboundConnection } from './outbound-connection.ts';
import { PacketMemory } from './packet-memory.ts';
import { PathSender } from './path-sender.ts';
import {
  OutboundCounter,
  OutboundTotal,
  type DataPlaneOptions,
  type FromDataThread,
  type ToDataThread,
} from './protocol.ts';
import { completeChecksum, SEGMENT_HEADERS_MAX, Segmenter } from './segmenter.ts';
import { TokenBucket } from './token-bucket.ts';
import { ANSWER_BYTES_MAX, emitTooBig } from './too-big.ts';
import {
  emitPlainVirtioHeader,
  GsoType,
  VIRTIO_CHECKSUM_OFFSET,
  VIRTIO_CHECKSUM_START,
  VIRTIO_GSO_BYTES,
  VIRTIO_GSO_TYPE,
  VIRTIO_HEADER_BYTES,
  VIRTIO_NEEDS_CHECKSUM,
} from './virtio-header.ts';

const MEMORY_BYTES = 2 * 1024 * 1024;
/** What one read may give, rounded up. */
const PACKET_BYTES_MAX = 65_600;
/** Small enough to stay in the processor's cache, large enough for some super-packets. */
const PACKETS_BYTES = 256 * 1024;
/** Headers of segments and fragments between two flushes. */
const HEADERS_BYTES = 64 * 1024;
const HEADER_BYTES_MAX = 8 + SEGMENT_HEADERS_MAX;
/** Packets begin at multiples of this; before them is room for the virtio header and the GRE header. */
const PACKET_ALIGNMENT = 64;
const TURN_READS = 128;

const TUN_KEY = 0;
/** Answers about packets that are too big, a second and at once. */
const ANSWERS_PER_SECOND = 100;
const ANSWERS_BURST = 20;

/** How the loop talks to the main thread. */
export interface OutboundPort {
  /** The next message, oldest first. */
  receive(): ToDataThread | undefined;
  send(message: FromDataThread): void;
}

export class OutboundLoop {
  readonly #loop: EpollLoop;
  readonly #port: OutboundPort;
  readonly #tunFd: number;
  readonly #read = libc.readAt;
  readonly #virtioBytes: number;
  readonly #totals: Float64Array;
  readonly #memory = new PacketMemory(MEMORY_BYTES);
  readonly #packets: number;
  readonly #headers: number;
  readonly #answer: number;
  readonly #sender: PathSender;
  readonly #segmenter: Segmenter;
  readonly #fragmenter: Fragmenter;
  readonly #lookup = new ConnectionLookup();
  readonly #inner = new InnerPacket();
  readonly #answers = new TokenBucket(ANSWERS_PER_SECOND, ANSWERS_BURST);
  /** By id. BOUNDED: by CONNECTIONS_MAX. */
  readonly #connections: (OutboundConnection | undefined)[] = [];
  /** Where the next packet and the next headers go. */
  #packetAt = 0;
  #headerAt = 0;
  #nowUs = monotonicUs();
  #isStopping = false;

  constructor(loop: EpollLoop, port: OutboundPort, options: DataPlaneOptions) {
    this.#loop = loop;
    this.#port = port;
    this.#tunFd = options.tunFd;
    this.#virtioBytes = options.hasVirtioHeader ? VIRTIO_HEADER_BYTES : 0;
    this.#totals = new Float64Array(options.outboundCounters);
    this.#packets = this.#memory.reserve(PACKETS_BYTES);
    this.#headers = this.#memory.reserve(HEADERS_BYTES);
    this.#answer = this.#memory.reserve(PACKET_ALIGNMENT + ANSWER_BYTES_MAX) + PACKET_ALIGNMENT;
    this.#sender = new PathSender(this.#memory, {
      send: (message) => this.#port.send(message),
      nowMs: monotonicMs,
    });
    this.#segmenter = new Segmenter(this.#memory);
    this.#fragmenter = new Fragmenter(this.#memory);
    this.#rewind();
  }

  /** Runs until the main thread says stop. Closes nothing but its own epoll descriptor. */
  runLoop(): void {
    try {
      this.begin();
      while (!this.#isStopping) this.runTurn();
    } finally {
      this.#loop.close();
    }
  }

  /** Before the first turn. */
  begin(): void {
    if (this.#memory.isSlow) {
      this.#tellTrouble('WebAssembly with SIMD is missing, checksums are computed the slow way');
    }
    this.#loop.add(this.#tunFd, EPOLLIN, TUN_KEY);
    this.#port.send({ kind: 'ready' });
  }

  /** Waits, and does what there is to do. */
  runTurn(): void {
    const count = this.#loop.wait(-1);
    this.#nowUs = monotonicUs();
    let isWoken = false;
    for (let i = 0; i < count; i++) {
      if (this.#loop.keyAt(i) === WAKE_KEY) isWoken = true;
      else this.#readPackets();
    }
    if (isWoken) this.#takeMessages();
  }

  #tellTrouble(text: string): void {
    this.#port.send({ kind: 'trouble', text });
  }

  #takeMessages(): void {
    this.#loop.wakeFd.clear();
    for (;;) {
      const message = this.#port.receive();
      if (message === undefined) return;
      this.#handleMessage(message);
    }
  }

  #handleMessage(message: ToDataThread): void {
    switch (message.kind) {
      case 'connection': {
        const { connection } = message;
        const before = this.#connections[connection.id];
        this.#connections[connection.id] = new OutboundConnection(connection, before, this.#nowUs);
        this.#lookup.set(connection);
        this.#port.send({ kind: 'done', ticket: message.ticket });
        return;
      }
      case 'remove':
        this.#connections[message.id] = undefined;
        this.#lookup.delete(message.id);
        this.#port.send({ kind: 'done', ticket: message.ticket });
        return;
      case 'views':
        this.#connections[message.id]?.update(message.views, this.#nowUs);
        return;
      case 'stop':
        this.#isStopping = true;
    }
  }

  #rewind(): void {
    this.#packetAt = this.#packets + PACKET_ALIGNMENT;
    this.#headerAt = this.#headers;
  }

  #flush(): void {
    this.#sender.flush();
    this.#rewind();
  }

  #readPackets(): void {
    const virtioBytes = this.#virtioBytes;
    const last = this.#packets + PACKETS_BYTES - PACKET_BYTES_MAX;
    let reads = 0;
    while (reads < TURN_READS && this.#packetAt <= last) {
      const at = this.#packetAt;
      const from = this.#memory.addressAt(at - virtioBytes);
      const length = this.#read(this.#tunFd, from, PACKET_BYTES_MAX) - virtioBytes;
      if (length <= 0) {
        if (length + virtioBytes < 0 && !this.#mayReadOn(lastErrno())) this.#loop.remove(this.#tunFd);
        break;
      }
      reads++;
      this.#packetAt = at + ((length + 2 * PACKET_ALIGNMENT - 1) & ~(PACKET_ALIGNMENT - 1));
      this.#handlePacket(at, length);
    }
    this.#totals[OutboundTotal.reads]! += reads;
    this.#flush();
  }

  /** Whether the device, which gave no packet but this errno, may give one later. */
  #mayReadOn(errno: number): boolean {
    if (errno === EAGAIN || errno === EINTR) return true;
    this.#tellTrouble(
      `reading from the tunnel's device failed (${errnoName(errno)}), nothing goes out any more: was it deleted?`,
    );
    return false;
  }

  /** `length` bytes at `at`, a multiple of 64; the virtio header, if any, before it. */
  #handlePacket(at: number, length: number): void {
    const { bytes, view } = this.#memory;
    const inner = this.#inner;
    if (!inner.parse(bytes, at, length)) {
      this.#totals[OutboundTotal.malformed]!++;
      return;
    }
    const id = this.#lookup.find(view, bytes, at);
    const connection = id === NO_CONNECTION ? undefined : this.#connections[id];
    if (connection === undefined) {
      this.#totals[OutboundTotal.noConnection]!++;
      return;
    }
    const virtio = at - VIRTIO_HEADER_BYTES;
    const hasHeader = this.#virtioBytes > 0;
    const needsChecksum = hasHeader && (bytes[virtio]! & VIRTIO_NEEDS_CHECKSUM) !== 0;
    const gsoType = hasHeader ? bytes[virtio + VIRTIO_GSO_TYPE]! : GsoType.none;
    if (gsoType !== GsoType.none) {
      this.#handleSuperPacket(connection, gsoType);
      return;
    }
    if (connection.innerBytesMax > 0) clampMss(inner, bytes, connection.innerBytesMax, needsChecksum);
    if (needsChecksum) {
      const start = view.getUint16(virtio + VIRTIO_CHECKSUM_START, true);
      const offset = view.getUint16(virtio + VIRTIO_CHECKSUM_OFFSET, true);
      if (!completeChecksum(this.#memory, at, length, start, offset)) {
        this.#totals[OutboundTotal.malformed]!++;
        return;
      }
    }
    if (connection.isTooBig(length, inner.version)) {
      if (inner.forbidsFragments(bytes)) this.#refuse(connection);
      else this.#sendFragments(connection);
      return;
    }
    const bits = this.#choose(connection, length, this.#pinned(connection), this.#hash(connection));
    if (bits === 0) {
      connection.counters[OutboundCounter.noPath]!++;
      return;
    }
    connection.emitHeader(view, at);
    this.#addTo(connection, bits, at, at, length);
    this.#count(connection, 1, length);
  }

  /** Bit of the path that the packet at hand is pinned to, 0 if none that may be used. */
  #pinned(connection: OutboundConnection): number {
    if (connection.pins.isEmpty) return 0;
    const path = connection.pins.pathOf(this.#memory.bytes, this.#inner.at, this.#inner.length);
    return path < 0 ? 0 : (1 << path) & connection.usable;
  }

  #hash(connection: OutboundConnection): number {
    if (!connection.scheduler.needsFlowHash) return 0;
    return flowHash(this.#memory.bytes, this.#inner.at, this.#inner.length);
  }

  #choose(connection: OutboundConnection, packetBytes: number, pinned: number, hash: number): number {
    if (pinned !== 0) return pinned;
    return connection.scheduler.choose(packetBytes + connection.headerBytes, hash, this.#nowUs);
  }

  /** A datagram for all paths in `bits`: headers that begin before `header` and end at `payload`'s beginning. */
  #addTo(
    connection: OutboundConnection,
    bits: number,
    headerEnd: number,
    payload: number,
    payloadBytes: number,
    innerHeaderBytes = 0,
  ): void {
    const { headerBytes } = connection;
    for (let rest = bits; rest !== 0; rest = withoutFirstPath(rest)) {
      const path = connection.paths[firstPath(rest)]!;
      this.#sender.add(path, headerEnd - headerBytes, headerBytes + innerHeaderBytes, payload, payloadBytes);
    }
  }

  #count(connection: OutboundConnection, packets: number, innerBytes: number): void {
    const { counters } = connection;
    counters[OutboundCounter.packets]! += packets;
    counters[OutboundCounter.bytes]! += innerBytes;
    counters[OutboundCounter.lastMs] = this.#nowUs / 1000;
  }

  /** A place for headers of `innerHeaderBytes` with room for a GRE header before it; a multiple of 8. */
  #reserveHeader(innerHeaderBytes: number): number {
    const at = this.#headerAt + 8;
    this.#headerAt = (at + innerHeaderBytes + 7) & ~7;
    return at;
  }

  /** Headers have run out in the middle of a packet: what was gathered goes, the packet stays where it is. */
  #makeHeaderRoom(): void {
    if (this.#headerAt + HEADER_BYTES_MAX <= this.#headers + HEADERS_BYTES) return;
    this.#sender.flush();
    this.#headerAt = this.#headers;
  }

  #handleSuperPacket(connection: OutboundConnection, gsoType: number): void {
    const { bytes, view } = this.#memory;
    const { at, length, version } = this.#inner;
    const segmenter = this.#segmenter;
    const virtio = at - VIRTIO_HEADER_BYTES;
    const pinned = this.#pinned(connection);
    const hash = this.#hash(connection);
    const gsoBytes = view.getUint16(virtio + VIRTIO_GSO_BYTES, true);
    const start = view.getUint16(virtio + VIRTIO_CHECKSUM_START, true);
    if (!segmenter.measure(at, length, gsoType, gsoBytes, start)) {
      this.#totals[OutboundTotal.malformed]!++;
      return;
    }
    if (connection.isTooBig(segmenter.headerBytes + gsoBytes, version)) {
      this.#refuse(connection);
      return;
    }
    if (connection.innerBytesMax > 0) clampMss(this.#inner, bytes, connection.innerBytesMax, true);
    segmenter.begin();
    const { count, headerBytes, payloadBytes } = segmenter;
    let packets = 0;
    let sentBytes = 0;
    for (let index = 0, payload = segmenter.payload; index < count; index++, payload += payloadBytes) {
      const segmentBytes = segmenter.payloadBytesOf(index);
      const bits = this.#choose(connection, headerBytes + segmentBytes, pinned, hash);
      if (bits === 0) {
        connection.counters[OutboundCounter.noPath]! += count - index;
        break;
      }
      this.#makeHeaderRoom();
      const header = this.#reserveHeader(headerBytes);
      segmenter.emitHeaders(index, header);
      connection.emitHeader(view, header);
      this.#addTo(connection, bits, header, payload, segmentBytes, headerBytes);
      packets++;
      sentBytes += headerBytes + segmentBytes;
    }
    this.#count(connection, packets, sentBytes);
  }

  #sendFragments(connection: OutboundConnection): void {
    const { view } = this.#memory;
    const fragmenter = this.#fragmenter;
    if (!fragmenter.begin(this.#inner, connection.packetBytesMax)) {
      this.#totals[OutboundTotal.malformed]!++;
      return;
    }
    const pinned = this.#pinned(connection);
    const hash = this.#hash(connection);
    const { count, headerBytes } = fragmenter;
    for (let index = 0; index < count; index++) {
      const payloadBytes = fragmenter.payloadBytesOf(index);
      const bits = this.#choose(connection, headerBytes + payloadBytes, pinned, hash);
      if (bits === 0) {
        connection.counters[OutboundCounter.noPath]! += count - index;
        return;
      }
      this.#makeHeaderRoom();
      const header = this.#reserveHeader(IPV4_HEADER_BYTES_MAX);
      fragmenter.emitHeader(index, header);
      connection.emitHeader(view, header);
      this.#addTo(connection, bits, header, fragmenter.payloadOf(index), payloadBytes, headerBytes);
      this.#count(connection, 1, headerBytes + payloadBytes);
    }
  }

  /** The packet at hand fits into no datagram and must not be cut: its sender is told. */
  #refuse(connection: OutboundConnection): void {
    connection.counters[OutboundCounter.tooBig]!++;
    if (!this.#answers.take(this.#nowUs)) return;
    const { bytes } = this.#memory;
    const largest = connection.packetBytesMax;
    const mtu = this.#inner.version === 6 ? Math.max(IPV6_MTU_MIN, largest) : Math.max(0, largest);
    const out = this.#answer;
    const length = emitTooBig(this.#memory, this.#inner, mtu, connection.remoteAddress, out);
    if (length === 0) return;
    emitPlainVirtioHeader(bytes, out - VIRTIO_HEADER_BYTES);
    const address = this.#memory.addressAt(out - this.#virtioBytes);
    // A device that refuses this is seen by the inbound thread, too.
    libc.writeAt(this.#tunFd, address, length + this.#virtioBytes);
  }
}
