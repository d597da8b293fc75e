/**
 * A super-packet from the device (TSO over IPv4 or IPv6, USO) as the packets of which it consists: for each the headers
 * are written, the payload stays where it is. As the kernel's own segmentation does it (tcp_gso_segment, udp_gso_segment):
 *
 *   field             in segment k
 *   IP length         its own; IPv4 identification + k; IPv4 header checksum
 *   TCP sequence      + bytes of the segments before
 *   TCP flags         FIN and PSH only in the last, CWR only in the first
 *   UDP length        its own
 *   checksum          over pseudo header, header and payload; UDP writes 0 as 0xffff
 *
 * Works in packet memory, does no I/O. The sums of all payloads are made in one call, what the headers have in common is
 * summed once; a segment then costs a copy of the headers and a few additions.
 */
import { foldSmallSum } from './checksum-twin.ts';
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, TCP, UDP } from './inner-packet.ts';
import type { PacketMemory } from './packet-memory.ts';
import { GSO_ECN, GsoType, TCP_CHECKSUM, UDP_CHECKSUM } from './virtio-header.ts';

const IPV4_LENGTH = 2;
const IPV4_ID = 4;
const IPV4_CHECKSUM = 10;
const IPV4_ADDRESSES = 12;
const IPV6_LENGTH = 4;
const IPV6_ADDRESSES = 8;
const TCP_HEADER_BYTES = 20;
const TCP_SEQUENCE = 4;
const TCP_OFFSET_FLAGS = 12;
const FIN_PSH = 0x09;
const CWR = 0x80;
const UDP_HEADER_BYTES = 8;
const UDP_LENGTH = 4;

/** Headers of a segment at most: IPv6 with extension headers, TCP with options. Longer ones are refused. */
export const SEGMENT_HEADERS_MAX = 320;
const PACKET_BYTES_MAX = 65_535;
const CHECKSUM_TABLE_BYTES = 4 * (PACKET_BYTES_MAX + 1);

const isTcpType = (type: number) => type === GsoType.tcp4 || type === GsoType.tcp6;

export class Segmenter {
  readonly #memory: PacketMemory;
  readonly #table: number;
  /** Segments of the super-packet. */
  count = 0;
  /** IP and transport header of each. */
  headerBytes = 0;
  /** Payload of each but the last. */
  payloadBytes = 0;
  /** Offset of the first one's payload. */
  payload = 0;
  #at = 0;
  #lastPayloadBytes = 0;
  #isTcp = false;
  #isV4 = false;
  /** From the IP header on. */
  #transport = 0;
  #id = 0;
  #sequence = 0;
  #offsetFlags = 0;
  #ipSum = 0;
  #transportSum = 0;

  constructor(memory: PacketMemory) {
    this.#memory = memory;
    this.#table = memory.reserve(CHECKSUM_TABLE_BYTES);
  }

  /**
   * Looks at the super-packet of `length` bytes at `at` (a multiple of 4), which the device announced with these fields
   * of its virtio header: `count`, `headerBytes`, `payloadBytes` and `payload` are known then, and nothing is changed.
   * False if it is none that can be segmented.
   */
  measure(at: number, length: number, gsoType: number, gsoBytes: number, checksumStart: number): boolean {
    const { bytes } = this.#memory;
    const type = gsoType & ~GSO_ECN;
    this.#isV4 = bytes[at]! >> 4 === 4;
    this.#isTcp = isTcpType(type);
    if (gsoBytes === 0 || (!this.#isTcp && type !== GsoType.udp)) return false;
    if (this.#isTcp && this.#isV4 !== (type === GsoType.tcp4)) return false;
    const transport = at + checksumStart;
    const ipBytes = this.#isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    const transportBytesMin = this.#isTcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES;
    if (checksumStart < ipBytes || checksumStart + transportBytesMin > length) return false;
    const transportBytes = this.#isTcp ? (bytes[transport + TCP_OFFSET_FLAGS]! >> 4) * 4 : UDP_HEADER_BYTES;
    this.headerBytes = checksumStart + transportBytes;
    if (
      transportBytes < transportBytesMin ||
      this.headerBytes > SEGMENT_HEADERS_MAX ||
      this.headerBytes >= length
    ) {
      return false;
    }
    const total = length - this.headerBytes;
    this.#at = at;
    this.#transport = checksumStart;
    this.payload = at + this.headerBytes;
    this.payloadBytes = gsoBytes;
    this.count = Math.ceil(total / gsoBytes);
    this.#lastPayloadBytes = total - (this.count - 1) * gsoBytes;
    return true;
  }

  /** Sums up what was measured. The super-packet's own headers are spoilt. */
  begin(): void {
    const { view } = this.#memory;
    const at = this.#at;
    const transport = at + this.#transport;
    const payloadBytes = (this.count - 1) * this.payloadBytes + this.#lastPayloadBytes;
    this.#memory.sumPieces(this.payload, payloadBytes, this.payloadBytes, this.#table);

    // What differs is taken out, what is left is the same in all segments.
    if (this.#isV4) {
      this.#id = view.getUint16(at + IPV4_ID);
      // Length and identification.
      view.setUint32(at + IPV4_LENGTH, 0);
      view.setUint16(at + IPV4_CHECKSUM, 0);
      this.#ipSum = this.#memory.sum(at, this.#transport);
    }
    const addresses = this.#isV4
      ? this.#memory.sum(at + IPV4_ADDRESSES, 8)
      : this.#memory.sum(at + IPV6_ADDRESSES, 32);
    if (this.#isTcp) {
      this.#sequence = view.getUint32(transport + TCP_SEQUENCE);
      this.#offsetFlags = view.getUint16(transport + TCP_OFFSET_FLAGS);
      view.setUint32(transport + TCP_SEQUENCE, 0);
      view.setUint16(transport + TCP_OFFSET_FLAGS, 0);
      view.setUint16(transport + TCP_CHECKSUM, 0);
    } else {
      view.setUint32(transport + UDP_LENGTH, 0);
    }
    this.#transportSum =
      addresses + (this.#isTcp ? TCP : UDP) + this.#memory.sum(transport, this.headerBytes - this.#transport);
  }

  /** Payload bytes of segment `index`. */
  payloadBytesOf(index: number): number {
    return index === this.count - 1 ? this.#lastPayloadBytes : this.payloadBytes;
  }

  /** Writes the headers of segment `index` at `out` (a multiple of 4), `headerBytes` of them. */
  emitHeaders(index: number, out: number): void {
    const { words, view } = this.#memory;
    const payloadBytes = this.payloadBytesOf(index);
    const from = this.#at >>> 2;
    const to = out >>> 2;
    // What is copied beyond an odd end is overwritten by the next segment's headers.
    const count = (this.headerBytes + 3) >>> 2;
    for (let i = 0; i < count; i++) words[to + i] = words[from + i]!;

    const total = this.headerBytes + payloadBytes;
    if (this.#isV4) {
      const id = (this.#id + index) & 0xffff;
      view.setUint16(out + IPV4_LENGTH, total);
      view.setUint16(out + IPV4_ID, id);
      view.setUint16(out + IPV4_CHECKSUM, ~foldSmallSum(this.#ipSum + total + id) & 0xffff);
    } else {
      view.setUint16(out + IPV6_LENGTH, total - IPV6_HEADER_BYTES);
    }

    const transport = out + this.#transport;
    const transportBytes = total - this.#transport;
    let sum = this.#transportSum + transportBytes + words[(this.#table >>> 2) + index]!;
    if (this.#isTcp) {
      const sequence = (this.#sequence + index * this.payloadBytes) >>> 0;
      let offsetFlags = this.#offsetFlags;
      if (index !== this.count - 1) offsetFlags &= ~FIN_PSH;
      if (index !== 0) offsetFlags &= ~CWR;
      view.setUint32(transport + TCP_SEQUENCE, sequence);
      view.setUint16(transport + TCP_OFFSET_FLAGS, offsetFlags);
      sum += (sequence >>> 16) + (sequence & 0xffff) + offsetFlags;
      view.setUint16(transport + TCP_CHECKSUM, ~foldSmallSum(sum) & 0xffff);
    } else {
      view.setUint16(transport + UDP_LENGTH, transportBytes);
      const checksum = ~foldSmallSum(sum + transportBytes) & 0xffff;
      view.setUint16(transport + UDP_CHECKSUM, checksum === 0 ? 0xffff : checksum);
    }
  }
}

/**
 * Completes the checksum of one packet at `at` that the device left to be done (VIRTIO_NEEDS_CHECKSUM): its field holds
 * the sum of the pseudo header. False if the field is not in the packet.
 */
export function completeChecksum(
  memory: PacketMemory,
  at: number,
  length: number,
  checksumStart: number,
  checksumOffset: number,
): boolean {
  const field = checksumStart + checksumOffset;
  if (field + 2 > length) return false;
  const sum = ~memory.sum(at + checksumStart, length - checksumStart) & 0xffff;
  // Of UDP 0 means that there is none; for TCP, 0xffff is as good as 0.
  memory.view.setUint16(at + field, sum === 0 && checksumOffset === UDP_CHECKSUM ? 0xffff : sum);
  return true;
}
