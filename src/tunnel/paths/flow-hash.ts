/**
 * Of which flow an inner packet is: a hash of addresses, protocol and, for TCP, UDP, DCCP and SCTP, ports. Pure, no
 * allocation, and any bytes are allowed: it reads only inside the given part of the buffer.
 *
 * Fragments have their ports in the first one only, so all of them are hashed without. IPv6 extension headers before
 * the transport header are stepped over (RFC 8200), at most `EXTENSIONS_MAX` of them.
 */

const TCP = 6;
const UDP = 17;
const DCCP = 33;
const SCTP = 132;
const EXTENSIONS_MAX = 6;

const hasPorts = (protocol: number) =>
  protocol === TCP || protocol === UDP || protocol === SCTP || protocol === DCCP;

/** FNV-1a over bytes; 32 bits, not yet mixed. */
function hashBytes(bytes: Uint8Array, at: number, end: number, seed: number): number {
  let hash = seed;
  for (let i = at; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash;
}

const SEED = 0x811c9dc5 | 0;
const NONE = -1;

function portsAtV4(bytes: Uint8Array, at: number, length: number): number {
  const isFragment = ((bytes[at + 6]! & 0x3f) | bytes[at + 7]!) !== 0;
  const header = (bytes[at]! & 0x0f) * 4;
  if (isFragment || header < 20 || !hasPorts(bytes[at + 9]!) || header + 4 > length) return NONE;
  return at + header;
}

/** Protocol of the packet behind extension headers, and where its ports are: protocol * 65536 + offset in packet. */
function transportV6(bytes: Uint8Array, at: number, length: number): number {
  let protocol = bytes[at + 6]!;
  let offset = 40;
  for (let i = 0; i < EXTENSIONS_MAX; i++) {
    const isStepped = protocol === 0 || protocol === 43 || protocol === 60;
    if (!isStepped || offset + 8 > length) break;
    protocol = bytes[at + offset]!;
    offset += 8 + bytes[at + offset + 1]! * 8;
  }
  return protocol * 0x10000 + Math.min(offset, 0xffff);
}

/** The hash of the packet of `length` bytes from `at` on; 0 for what is no IP packet. */
export function flowHash(bytes: Uint8Array, at: number, length: number): number {
  if (length < 20) return 0;
  const version = bytes[at]! >> 4;
  if (version === 4) {
    const hash = Math.imul(hashBytes(bytes, at + 12, at + 20, SEED) ^ bytes[at + 9]!, 0x01000193);
    const ports = portsAtV4(bytes, at, length);
    return (ports === NONE ? hash : hashBytes(bytes, ports, ports + 4, hash)) >>> 0;
  }
  if (version !== 6 || length < 40) return 0;
  const transport = transportV6(bytes, at, length);
  const protocol = transport >>> 16;
  const offset = transport & 0xffff;
  const hash = Math.imul(hashBytes(bytes, at + 8, at + 40, SEED) ^ protocol, 0x01000193);
  const isWhole = hasPorts(protocol) && offset + 4 <= length;
  return (isWhole ? hashBytes(bytes, at + offset, at + offset + 4, hash) : hash) >>> 0;
}
