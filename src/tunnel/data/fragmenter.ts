/**
 * An IPv4 packet without Don't Fragment that fits into no datagram, as fragments (RFC 791 section 3.2): for each the
 * header is written, the payload stays where it is. Works in packet memory, no I/O. Fragments may be fragmented again.
 */
import { IPV4_HEADER_BYTES, type InnerPacket } from './inner-packet.ts';
import type { PacketMemory } from './packet-memory.ts';

const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_COPIED = 0x80;

/** Room for a header. */
export const IPV4_HEADER_BYTES_MAX = 60;

export class Fragmenter {
  readonly #memory: PacketMemory;
  count = 0;
  headerBytes = 0;
  payload = 0;
  #at = 0;
  #payloadBytes = 0;
  #total = 0;
  #flagsOffset = 0;

  constructor(memory: PacketMemory) {
    this.#memory = memory;
  }

  /** Takes a packet whose checksum is complete; false if not even 8 bytes of payload fit into `innerBytesMax`. */
  begin(packet: InnerPacket, innerBytesMax: number): boolean {
    const { view } = this.#memory;
    this.headerBytes = packet.transport - packet.at;
    this.#payloadBytes = (innerBytesMax - this.headerBytes) & ~7;
    if (this.#payloadBytes < 8) return false;
    this.#at = packet.at;
    this.payload = packet.transport;
    this.#total = packet.length - this.headerBytes;
    this.#flagsOffset = view.getUint16(packet.at + 6);
    this.count = Math.ceil(this.#total / this.#payloadBytes);
    return true;
  }

  /** Where the payload of fragment `index` begins. */
  payloadOf(index: number): number {
    return this.payload + index * this.#payloadBytes;
  }

  payloadBytesOf(index: number): number {
    return Math.min(this.#payloadBytes, this.#total - index * this.#payloadBytes);
  }

  /** Writes the header of fragment `index` at `out`, `headerBytes` of it. */
  emitHeader(index: number, out: number): void {
    const { bytes, view } = this.#memory;
    this.#memory.copy(out, this.#at, this.headerBytes);
    const offset = (this.#flagsOffset & OFFSET_MASK) + (index * this.#payloadBytes) / 8;
    const isLast = index === this.count - 1 && (this.#flagsOffset & MORE_FRAGMENTS) === 0;
    view.setUint16(out + 2, this.headerBytes + this.payloadBytesOf(index));
    view.setUint16(out + 6, (offset & OFFSET_MASK) | (isLast ? 0 : MORE_FRAGMENTS));
    if (offset !== 0) this.#blankOptions(bytes, out);
    view.setUint16(out + 10, 0);
    view.setUint16(out + 10, ~this.#memory.sum(out, this.headerBytes) & 0xffff);
  }

  /** Options without the copied bit belong to the first fragment only. */
  #blankOptions(bytes: Uint8Array, out: number): void {
    const end = out + this.headerBytes;
    for (let at = out + IPV4_HEADER_BYTES; at < end;) {
      const kind = bytes[at]!;
      if (kind === OPTION_END) return;
      const length = kind === OPTION_NOP ? 1 : bytes[at + 1]!;
      if (length < 1 || at + length > end || (kind !== OPTION_NOP && length < 2)) return;
      if ((kind & OPTION_COPIED) === 0) bytes.fill(OPTION_NOP, at, at + length);
      at += length;
    }
  }
}
