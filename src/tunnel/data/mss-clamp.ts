/**
 * Lowers the MSS that a TCP SYN announces to what the tunnel carries in one piece (RFC 9293 section 3.7.1), so that no
 * segment has to be refused later. Pure; the packet is changed where it lies, its checksum with it (RFC 1624).
 */
import { InnerPacket, IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, TCP } from './inner-packet.ts';
import { TCP_CHECKSUM } from './virtio-header.ts';

const TCP_HEADER_BYTES = 20;
const TCP_FLAGS = 13;
const SYN = 0x02;
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;

const swapped = (word: number) => ((word & 0xff) << 8) | (word >> 8);

/** Offset of the MSS option's value, or 0. The header ends at `end`. */
function findMss(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end;) {
    const kind = bytes[at]!;
    if (kind === OPTION_END) return 0;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) return 0;
    if (kind === OPTION_MSS) return length === 4 ? at + 2 : 0;
    at += length;
  }
  return 0;
}

/**
 * @param innerBytesMax largest inner packet; 0: nothing is changed
 * @param isPartial the checksum is still to be done (the field holds the pseudo header's sum) and is left alone
 * @returns whether something was changed
 */
export function clampMss(
  packet: InnerPacket,
  bytes: Uint8Array,
  innerBytesMax: number,
  isPartial: boolean,
): boolean {
  const { transport } = packet;
  const end = packet.at + packet.length;
  if (packet.protocol !== TCP || innerBytesMax === 0 || transport + TCP_HEADER_BYTES > end) return false;
  if ((bytes[transport + TCP_FLAGS]! & SYN) === 0) return false;
  const headerEnd = transport + (bytes[transport + 12]! >> 4) * 4;
  const at = headerEnd > end ? 0 : findMss(bytes, transport + TCP_HEADER_BYTES, headerEnd);
  if (at === 0) return false;
  const ipBytes = packet.version === 6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
  const allowed = Math.max(1, innerBytesMax - ipBytes - TCP_HEADER_BYTES);
  const announced = (bytes[at]! << 8) | bytes[at + 1]!;
  if (announced <= allowed) return false;
  bytes[at] = allowed >> 8;
  bytes[at + 1] = allowed & 0xff;
  if (isPartial) return true;
  // At an odd place the value's bytes belong to two words; swapped, they count as one (RFC 1071 section 2 B).
  const isOdd = ((at - transport) & 1) !== 0;
  const field = transport + TCP_CHECKSUM;
  const before = (bytes[field]! << 8) | bytes[field + 1]!;
  let sum = (~before & 0xffff) + (~(isOdd ? swapped(announced) : announced) & 0xffff);
  sum += isOdd ? swapped(allowed) : allowed;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  bytes[field] = (~sum >> 8) & 0xff;
  bytes[field + 1] = ~sum & 0xff;
  return true;
}
