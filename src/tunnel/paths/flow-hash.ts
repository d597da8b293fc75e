/**
 * Of which flow an inner packet is: a hash of the addresses and, for TCP, UDP, DCCP and SCTP, protocol and ports. Pure,
 * no allocation, and any bytes are allowed: it reads only inside the given part of the buffer.
 *
 * Fragments have their ports in the first one only, so all of them are hashed without. IPv6 extension headers before
 * the transport header are stepped over (RFC 8200), at most `EXTENSIONS_MAX` of them.
 */

const TCP = 6;
const UDP = 17;
const DCCP = 33;
const SCTP = 132;
const EXTENSIONS_MAX = 6;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const DESTINATION = 60;

const hasPorts = (protocol: number) =>
  protocol === TCP || protocol === UDP || protocol === SCTP || protocol === DCCP;

/** FNV-1a over bytes; 32 bits, not yet mixed. */
function hashBytes(bytes: Uint8Array, at: number, end: number, seed: number): number {
  let hash = seed;
  for (let i = at; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash;
}

const SEED = 0x811c9dc5 | 0;

/** What `portsAt` answers for packets without ports. */
export const PORTS_NONE = -1;

function portsAtV4(bytes: Uint8Array, at: number, length: number): number {
  const isFragment = ((bytes[at + 6]! & 0x3f) | bytes[at + 7]!) !== 0;
  const header = (bytes[at]! & 0x0f) * 4;
  const protocol = bytes[at + 9]!;
  const isWhole = !isFragment && header >= 20 && header + 4 <= length && hasPorts(protocol);
  return isWhole ? (protocol << 16) | header : PORTS_NONE;
}

function portsAtV6(bytes: Uint8Array, at: number, length: number): number {
  let protocol = bytes[at + 6]!;
  let offset = 40;
  for (let i = 0; i < EXTENSIONS_MAX; i++) {
    const isStepped = protocol === HOP_BY_HOP || protocol === ROUTING || protocol === DESTINATION;
    if (!isStepped || offset + 8 > length) break;
    protocol = bytes[at + offset]!;
    offset += 8 + bytes[at + offset + 1]! * 8;
  }
  return hasPorts(protocol) && offset + 4 <= length && offset <= 0xffff
    ? (protocol << 16) | offset
    : PORTS_NONE;
}

/**
 * Where the ports of an inner packet of `length` bytes from `at` on are: protocol * 65,536 + distance from `at`;
 * `PORTS_NONE` for fragments, other protocols, and what is no IP packet.
 */
export function portsAt(bytes: Uint8Array, at: number, length: number): number {
  if (length < 20) return PORTS_NONE;
  const version = bytes[at]! >> 4;
  if (version === 4) return portsAtV4(bytes, at, length);
  return version === 6 && length >= 40 ? portsAtV6(bytes, at, length) : PORTS_NONE;
}

/** The hash of the packet of `length` bytes from `at` on; 0 for what is no IP packet. */
export function flowHash(bytes: Uint8Array, at: number, length: number): number {
  if (length < 20) return 0;
  const version = bytes[at]! >> 4;
  if (version !== 4 && (version !== 6 || length < 40)) return 0;
  const addresses =
    version === 4 ? hashBytes(bytes, at + 12, at + 20, SEED) : hashBytes(bytes, at + 8, at + 40, SEED);
  const ports = portsAt(bytes, at, length);
  if (ports === PORTS_NONE) return addresses >>> 0;
  const hash = Math.imul(addresses ^ (ports >>> 16), 0x01000193);
  const offset = at + (ports & 0xffff);
  return hashBytes(bytes, offset, offset + 4, hash) >>> 0;
}
