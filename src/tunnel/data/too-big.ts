/**
 * The answer to an inner packet that fits into no datagram: ICMP "fragmentation needed" (RFC 792, RFC 1191 section 4) or
 * ICMPv6 "packet too big" (RFC 4443 section 3.2), written into packet memory as it goes to the device. Pure.
 *
 * Its source is the address of the tunnel's far end: that is where the packet would have gone to, and the kernel refuses
 * packets from the device that claim to be from an address of its own.
 */
import {
  ICMP,
  ICMPV6,
  InnerPacket,
  IPV4_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  PROTOCOL_UNKNOWN,
} from './inner-packet.ts';
import type { PacketMemory } from './packet-memory.ts';

const ICMP_BYTES = 8;
const UNREACHABLE = 3;
const FRAGMENTATION_NEEDED = 4;
const PACKET_TOO_BIG = 2;
const TTL = 64;
/** RFC 1812 section 4.3.2.3; RFC 4443 section 2.4 (c). */
const ANSWER_BYTES_MAX_V4 = 576;
const ANSWER_BYTES_MAX_V6 = 1280;
/** Room that an answer needs. */
export const ANSWER_BYTES_MAX = ANSWER_BYTES_MAX_V6;

const V4_ECHO_REPLY = 0;
const V4_ECHO_REQUEST = 8;

/** RFC 1122 section 3.2.2: no answer to an ICMP error, a later fragment, or a packet that is not from one to one. */
function mayBeAnsweredV4(packet: InnerPacket, bytes: Uint8Array): boolean {
  if (packet.protocol === PROTOCOL_UNKNOWN) return false;
  if (packet.protocol === ICMP && packet.transport < packet.at + packet.length) {
    const type = bytes[packet.transport]!;
    // Errors are types 3, 4, 5, 11, 12; of those that may be large, the echoes are worth an answer.
    if (type !== V4_ECHO_REPLY && type !== V4_ECHO_REQUEST) return false;
  }
  const [source, destination] = [bytes[packet.at + 12]!, bytes[packet.at + 16]!];
  return source !== 0 && source !== 127 && source < 224 && destination < 224;
}

/** RFC 4443 section 2.4 (e); "packet too big" may answer multicast, but its source must be one host. */
function mayBeAnsweredV6(packet: InnerPacket, bytes: Uint8Array): boolean {
  if (packet.protocol === ICMPV6 && packet.transport < packet.at + packet.length) {
    if (bytes[packet.transport]! < 128) return false;
  }
  let isUnspecified = true;
  for (let i = 0; i < 16; i++) if (bytes[packet.at + 8 + i] !== 0) isUnspecified = false;
  return !isUnspecified && bytes[packet.at + 8] !== 0xff;
}

function emitV4(
  memory: PacketMemory,
  packet: InnerPacket,
  mtu: number,
  from: Uint8Array,
  out: number,
): number {
  const { bytes, view } = memory;
  const quoted = Math.min(packet.length, ANSWER_BYTES_MAX_V4 - IPV4_HEADER_BYTES - ICMP_BYTES);
  const total = IPV4_HEADER_BYTES + ICMP_BYTES + quoted;
  const icmp = out + IPV4_HEADER_BYTES;
  memory.copy(icmp + ICMP_BYTES, packet.at, quoted);
  bytes.fill(0, out, icmp + ICMP_BYTES);
  bytes[out] = 0x45;
  // Internetwork control, as the kernel's own.
  bytes[out + 1] = 0xc0;
  view.setUint16(out + 2, total);
  bytes[out + 8] = TTL;
  bytes[out + 9] = ICMP;
  if (from.length === 4) bytes.set(from, out + 12);
  else memory.copy(out + 12, packet.at + 16, 4);
  memory.copy(out + 16, packet.at + 12, 4);
  view.setUint16(out + 10, ~memory.sum(out, IPV4_HEADER_BYTES) & 0xffff);
  bytes[icmp] = UNREACHABLE;
  bytes[icmp + 1] = FRAGMENTATION_NEEDED;
  view.setUint16(icmp + 6, mtu);
  view.setUint16(icmp + 2, ~memory.sum(icmp, ICMP_BYTES + quoted) & 0xffff);
  return total;
}

function emitV6(
  memory: PacketMemory,
  packet: InnerPacket,
  mtu: number,
  from: Uint8Array,
  out: number,
): number {
  const { bytes, view } = memory;
  const quoted = Math.min(packet.length, ANSWER_BYTES_MAX_V6 - IPV6_HEADER_BYTES - ICMP_BYTES);
  const icmpBytes = ICMP_BYTES + quoted;
  const icmp = out + IPV6_HEADER_BYTES;
  memory.copy(icmp + ICMP_BYTES, packet.at, quoted);
  bytes.fill(0, out, icmp + ICMP_BYTES);
  bytes[out] = 0x60;
  view.setUint16(out + 4, icmpBytes);
  bytes[out + 6] = ICMPV6;
  bytes[out + 7] = TTL;
  if (from.length === 16) bytes.set(from, out + 8);
  else memory.copy(out + 8, packet.at + 24, 16);
  memory.copy(out + 24, packet.at + 8, 16);
  bytes[icmp] = PACKET_TOO_BIG;
  view.setUint32(icmp + 4, mtu);
  let sum = memory.sum(out + 8, 32) + icmpBytes + ICMPV6 + memory.sum(icmp, icmpBytes);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(icmp + 2, ~sum & 0xffff);
  return IPV6_HEADER_BYTES + icmpBytes;
}

/**
 * Writes the answer to `packet` at `out`, room for `ANSWER_BYTES_MAX`.
 * @param mtu largest inner packet that would have fitted
 * @param from tunnel address of the far end; if it is of the other IP version, the packet's destination answers
 * @returns its length; 0 if the packet is one that must not be answered
 */
export function emitTooBig(
  memory: PacketMemory,
  packet: InnerPacket,
  mtu: number,
  from: Uint8Array,
  out: number,
): number {
  const { bytes } = memory;
  if (packet.version === 4) {
    return mayBeAnsweredV4(packet, bytes) ? emitV4(memory, packet, mtu, from, out) : 0;
  }
  return mayBeAnsweredV6(packet, bytes) ? emitV6(memory, packet, mtu, from, out) : 0;
}
