/**
 * What an inner IP packet is, read where it lies: IP version, protocol, where the transport header begins, whether it is
 * a fragment. One object, used for one packet after another; nothing is allocated and any bytes are allowed, reading
 * stays inside the given part. RFC 791, RFC 8200 (extension headers are stepped over, at most `EXTENSIONS_MAX`).
 */

export const TCP = 6;
export const UDP = 17;
export const ICMP = 1;
export const ICMPV6 = 58;
export const IPV4_HEADER_BYTES = 20;
export const IPV6_HEADER_BYTES = 40;

const EXTENSIONS_MAX = 6;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION = 60;

/** Protocol of a packet whose transport header is not in it, or not found. */
export const PROTOCOL_UNKNOWN = -1;

export class InnerPacket {
  /** Offset of the IP header in the buffer. */
  at = 0;
  /** From there on; what was read, whatever the header says. */
  length = 0;
  version = 0;
  /** Of the transport header at `transport`; `PROTOCOL_UNKNOWN` in later fragments and where it was not found. */
  protocol = PROTOCOL_UNKNOWN;
  /** Offset in the buffer of what follows the IP header and its extensions. */
  transport = 0;
  isFragment = false;

  /** Takes the packet of `length` bytes from `at` on; false for what is no IP packet or shorter than its IP header. */
  parse(bytes: Uint8Array, at: number, length: number): boolean {
    this.at = at;
    this.length = length;
    this.protocol = PROTOCOL_UNKNOWN;
    this.isFragment = false;
    if (length < IPV4_HEADER_BYTES) return false;
    this.version = bytes[at]! >> 4;
    if (this.version === 4) return this.#parseV4(bytes, at, length);
    return this.version === 6 && length >= IPV6_HEADER_BYTES && this.#parseV6(bytes, at, length);
  }

  #parseV4(bytes: Uint8Array, at: number, length: number): boolean {
    const headerBytes = (bytes[at]! & 0x0f) * 4;
    if (headerBytes < IPV4_HEADER_BYTES || headerBytes > length) return false;
    const offset = ((bytes[at + 6]! & 0x1f) << 8) | bytes[at + 7]!;
    this.isFragment = offset !== 0 || (bytes[at + 6]! & 0x20) !== 0;
    this.transport = at + headerBytes;
    if (offset === 0) this.protocol = bytes[at + 9]!;
    return true;
  }

  #parseV6(bytes: Uint8Array, at: number, length: number): boolean {
    const end = at + length;
    let next = bytes[at + 6]!;
    let offset = at + IPV6_HEADER_BYTES;
    this.transport = offset;
    for (let i = 0; i <= EXTENSIONS_MAX; i++) {
      const isStepped = next === HOP_BY_HOP || next === ROUTING || next === DESTINATION;
      if (!isStepped && next !== FRAGMENT) {
        this.transport = offset;
        this.protocol = next;
        return true;
      }
      if (offset + 8 > end) return true;
      if (next === FRAGMENT) {
        this.isFragment = true;
        if (((bytes[offset + 2]! << 8) | (bytes[offset + 3]! & 0xf8)) !== 0) return true;
      }
      const extensionBytes = next === FRAGMENT ? 8 : 8 + bytes[offset + 1]! * 8;
      next = bytes[offset]!;
      offset += extensionBytes;
      if (offset > end) return true;
    }
    return true;
  }

  /** Don't Fragment of IPv4; IPv6 packets are never fragmented on the way. */
  forbidsFragments(bytes: Uint8Array): boolean {
    return this.version === 6 || (bytes[this.at + 6]! & 0x40) !== 0;
  }
}
