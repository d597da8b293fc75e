/**
 * One super-packet that is being built of consecutive segments of a flow (pure but for the memory that it reads).
 * The first segment stays where it is and lends its headers; of the others only the payload is kept, as iovecs.
 *
 *   iovecs   [virtio header] [first segment, whole] [payload of the second] …
 *
 * What may join is what the kernel's own receive offload would let join (net/ipv4/tcp_offload.c, tcp_gro_receive;
 * udp_offload.c): the same flow, headers equal but for length, number, checksum, and FIN and PSH, the next bytes of the
 * stream, not longer than the first. A flow's packet that may not join closes the run before it goes on itself.
 *
 * Whole numbers are kept as signed 32 bits, which V8 keeps without boxing; nothing is allocated after the constructor.
 */
import { IOVEC_BYTES, type PacketMemory } from './packet-memory.ts';
import {
  IPV4_HEADER_BYTES as IPV4_BYTES,
  IPV6_HEADER_BYTES as IPV6_BYTES,
  TCP,
  UDP,
} from './inner-packet.ts';
import {
  emitVirtioHeader,
  GsoType,
  TCP_CHECKSUM,
  UDP_CHECKSUM,
  VIRTIO_HEADER_BYTES,
} from './virtio-header.ts';

export const UDP_BYTES = 8;
export const TCP_BYTES = 20;
export const TcpFlag = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10, urg: 0x20 } as const;

/** Longest super-packet: what a length field of IPv4 says. */
export const RUN_BYTES_MAX = 65_535;
const TCP_SEGMENTS_MAX = 128;
/** UDP_MAX_SEGMENTS of kernels up to 6.8. */
const UDP_SEGMENTS_MAX = 64;
const RUN_VECTORS = TCP_SEGMENTS_MAX + 1;

/** What a run reserves of the memory, with room for alignment. */
export const RUN_MEMORY_BYTES = 256 + RUN_VECTORS * IOVEC_BYTES;

/** Reserved, FIN and PSH left out of the word at 12: data offset, flags, window, as they lie in memory (little-endian). */
const TCP_WORD_MASK = ~((TcpFlag.fin | TcpFlag.psh) << 8);
const DONT_FRAGMENT = 0x4000;

const u16 = 0xffff;
/** One's complement sum of less than 2^31, folded. */
const fold = (sum: number): number => {
  const once = (sum & u16) + (sum >>> 16);
  return (once & u16) + (once >>> 16);
};

export class MergeRun {
  readonly #memory: PacketMemory;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #virtioAt: number;
  readonly #vectorsAt: number;
  readonly vectorsAddress: number;
  /** Slots of the segments; the first `count`. */
  readonly slots = new Int32Array(TCP_SEGMENTS_MAX);
  /** Segments; 0: the run is free. */
  count = 0;
  /** First segment. */
  at = 0;
  lengthBytes = 0;
  protocol = 0;
  ipBytes = 0;
  /** IP and transport. */
  headerBytes = 0;
  /** Payload of the first segment. */
  segmentBytes = 0;
  /** All headers once and all payloads. */
  totalBytes = 0;
  /** Sum of the addresses' words. */
  #addressSum = 0;
  /** Whether the first segment's checksums were found to be right. */
  isVerified = false;
  /** FIN and PSH of the last segment. */
  endFlags = 0;
  #ports = 0;
  /** Version, type of service or traffic class and flow label: the first 2 or 4 bytes. */
  #first = 0;
  /** Time to live and protocol, or next header and hop limit. */
  #hops = 0;
  #fragment = 0;
  #identification = 0;
  /** Words of the IPv4 header that all segments share. */
  #headerSum = 0;
  #nextSequence = 0;
  #acknowledgement = 0;
  #tcpWord = 0;

  constructor(memory: PacketMemory) {
    this.#memory = memory;
    this.#bytes = memory.bytes;
    this.#view = memory.view;
    this.#virtioAt = memory.reserve(VIRTIO_HEADER_BYTES);
    this.#vectorsAt = memory.reserve(RUN_VECTORS * IOVEC_BYTES);
    this.vectorsAddress = memory.addressAt(this.#vectorsAt);
    memory.writeIovec(this.#vectorsAt, this.#virtioAt, VIRTIO_HEADER_BYTES);
  }

  /** Whether the packet at `at` is of this run's flow: addresses, protocol, ports. */
  isFlowOf(at: number, ipBytes: number, protocol: number): boolean {
    const view = this.#view;
    if (
      this.count === 0 ||
      this.ipBytes !== ipBytes ||
      this.protocol !== protocol ||
      this.#ports !== view.getInt32(at + ipBytes)
    ) {
      return false;
    }
    const end = at + ipBytes;
    const toHead = this.at - at;
    for (let i = ipBytes === IPV4_BYTES ? at + 12 : at + 8; i < end; i += 4) {
      if (view.getInt32(i) !== view.getInt32(i + toHead)) return false;
    }
    return true;
  }

  /** Begins with a segment of whole, plain headers. */
  begin(
    slot: number,
    at: number,
    lengthBytes: number,
    ipBytes: number,
    protocol: number,
    headerBytes: number,
  ): void {
    const view = this.#view;
    const transport = at + ipBytes;
    this.count = 1;
    this.slots[0] = slot;
    this.at = at;
    this.lengthBytes = lengthBytes;
    this.totalBytes = lengthBytes;
    this.ipBytes = ipBytes;
    this.protocol = protocol;
    this.headerBytes = headerBytes;
    this.segmentBytes = lengthBytes - headerBytes;
    this.isVerified = false;
    this.endFlags = 0;
    this.#ports = view.getInt32(transport);
    let sum = 0;
    if (ipBytes === IPV4_BYTES) {
      for (let i = at + 12; i < transport; i += 2) sum += view.getUint16(i);
      this.#first = view.getUint16(at);
      this.#identification = view.getUint16(at + 4);
      this.#fragment = view.getUint16(at + 6);
      this.#hops = view.getUint16(at + 8);
      this.#headerSum = sum + this.#first + this.#fragment + this.#hops;
    } else {
      this.#first = view.getInt32(at);
      this.#hops = view.getUint16(at + 6);
    }
    this.#addressSum = sum;
    if (protocol === TCP) {
      this.#nextSequence = (view.getInt32(transport + 4) + this.segmentBytes) | 0;
      this.#acknowledgement = view.getInt32(transport + 8);
      this.#tcpWord = view.getInt32(transport + 12, true) & TCP_WORD_MASK;
    }
  }

  /** Whether the packet, of this flow and with a payload, is the one that comes next. Its checksums are not looked at. */
  continuesWith(at: number, lengthBytes: number, headerBytes: number): boolean {
    const view = this.#view;
    const payload = lengthBytes - headerBytes;
    if (headerBytes !== this.headerBytes || payload > this.segmentBytes) return false;
    if (this.totalBytes + payload > RUN_BYTES_MAX) return false;
    if (this.ipBytes === IPV4_BYTES) {
      if (view.getUint16(at) !== this.#first || view.getUint16(at + 8) !== this.#hops) return false;
      if (view.getUint16(at + 6) !== this.#fragment) return false;
      // Numbers matter only to fragments (RFC 6864), and those that the kernel will give count on from the first.
      const expected = (this.#identification + this.count) & u16;
      if (this.#fragment !== DONT_FRAGMENT && view.getUint16(at + 4) !== expected) return false;
    } else if (view.getInt32(at) !== this.#first || view.getUint16(at + 6) !== this.#hops) return false;
    if (this.protocol === UDP) return this.count < UDP_SEGMENTS_MAX;
    const tcp = at + this.ipBytes;
    if (
      this.count === TCP_SEGMENTS_MAX ||
      view.getInt32(tcp + 4) !== this.#nextSequence ||
      view.getInt32(tcp + 8) !== this.#acknowledgement ||
      (view.getInt32(tcp + 12, true) & TCP_WORD_MASK) !== this.#tcpWord
    ) {
      return false;
    }
    const toHead = this.at - at;
    const end = at + headerBytes;
    for (let i = tcp + TCP_BYTES; i < end; i += 4) {
      if (view.getInt32(i) !== view.getInt32(i + toHead)) return false;
    }
    return true;
  }

  /**
   * Whether the checksums of a packet of this flow are right. `packetSum`: one's complement sum of the whole packet,
   * or -1: computed here.
   */
  isIntact(at: number, lengthBytes: number, packetSum: number): boolean {
    const view = this.#view;
    let sum = packetSum < 0 ? this.#memory.sum(at, lengthBytes) : packetSum;
    if (this.ipBytes === IPV4_BYTES) {
      const own = view.getUint16(at + 2) + view.getUint16(at + 4) + view.getUint16(at + 10);
      if (fold(this.#headerSum + own) !== u16) return false;
      // The header sums up to zero, so the sum is that of the transport.
      sum += this.#addressSum + this.protocol + lengthBytes - IPV4_BYTES;
    } else {
      // Addresses and length stand in the packet as in the pseudo header; the rest of the header is taken out.
      const first = this.#first;
      sum += this.protocol + 3 * u16 - (first >>> 16) - (first & u16) - this.#hops;
    }
    return fold(sum) === u16;
  }

  /** Takes the packet in as the next. */
  append(slot: number, at: number, lengthBytes: number): void {
    const payload = lengthBytes - this.headerBytes;
    const { count } = this;
    this.#memory.writeIovec(this.#vectorsAt + (count + 1) * IOVEC_BYTES, at + this.headerBytes, payload);
    this.slots[count] = slot;
    this.count = count + 1;
    this.totalBytes += payload;
    this.#nextSequence = (this.#nextSequence + payload) | 0;
  }

  /**
   * Makes of the segments what the device takes: the first one's headers become those of the whole, its transport checksum
   * that of the pseudo header. Returns how many iovecs there are from `vectorsAddress` on.
   */
  close(): number {
    const view = this.#view;
    const { at, ipBytes, totalBytes } = this;
    const transport = at + ipBytes;
    const isTcp = this.protocol === TCP;
    let sum = this.protocol + totalBytes - ipBytes;
    let gsoType: number = isTcp ? GsoType.tcp4 : GsoType.udp;
    if (ipBytes === IPV4_BYTES) {
      view.setUint16(at + 2, totalBytes);
      view.setUint16(at + 10, ~fold(this.#headerSum + totalBytes + this.#identification));
      sum += this.#addressSum;
    } else {
      if (isTcp) gsoType = GsoType.tcp6;
      view.setUint16(at + 4, totalBytes - IPV6_BYTES);
      for (let i = at + 8; i < transport; i += 2) sum += view.getUint16(i);
    }
    if (isTcp) this.#bytes[transport + 13]! |= this.endFlags;
    else view.setUint16(transport + 4, totalBytes - ipBytes);
    const field = isTcp ? TCP_CHECKSUM : UDP_CHECKSUM;
    view.setUint16(transport + field, fold(sum));
    emitVirtioHeader(view, this.#virtioAt, gsoType, this.headerBytes, this.segmentBytes, ipBytes, field);
    this.#memory.writeIovec(this.#vectorsAt + IOVEC_BYTES, at, this.lengthBytes);
    return this.count + 1;
  }
}
