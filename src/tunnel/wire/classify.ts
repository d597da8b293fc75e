/**
 * What a datagram received on a data port is. Called once per packet: it returns a small number, allocates nothing
 * and reads only inside the given part of the buffer, whatever the bytes are.
 *
 * Who sent the datagram is not judged here; the caller compares the source address with the path's peer first.
 *
 * The original looks at flag 0x10 only and takes everything below 0xA0 after the header for an inner packet. Weft
 * refuses what the original would misread: a checksum or key field, another GRE version, reserved bits that RFC 2784
 * section 2.3 tells a receiver to refuse, and inner packets that are not IP. The original never sends any of these.
 * Protocol types are not judged: they follow the connection, not the inner packet.
 */
import { headerBytesAt } from './data-header.ts';

/**
 * Kind of a datagram. Values of `FIRST_MALFORMED` and above are reasons for dropping it, in words by
 * `formatDatagramKind`, and good as indexes into an array of counters of `DATAGRAM_KINDS` entries.
 */
export const DatagramKind = {
  /** An inner IP packet; it begins `headerBytesAt` bytes after the datagram's start. */
  data: 0,
  keepalive: 1,
  /** A control message where none belongs. The original logs and drops it; Weft counts and drops it. */
  controlOnDataPort: 2,
  tooShort: 3,
  unsupportedFlags: 4,
  unsupportedVersion: 5,
  notIp: 6,
  innerTooShort: 7,
} as const;

export type DatagramKind = (typeof DatagramKind)[keyof typeof DatagramKind];

export const FIRST_MALFORMED = DatagramKind.tooShort;
export const DATAGRAM_KINDS = 8;

/** Bytes after the header from here on are control messages (0x9F and below: the first byte of an IP packet). */
export const FIRST_CONTROL_BYTE = 0xa0;
export const KEEPALIVE_BYTE = 0xa1;

/** The original drops anything shorter. */
const MIN_DATAGRAM_BYTES = 8;
/** Bits 0 to 5 without the sequence flag (RFC 2784 section 2.3): checksum, routing, key, strict route, recursion. */
const REFUSED_FLAGS = 0xec;
const VERSION_MASK = 0x07;

const WORDS = [
  'data',
  'keepalive',
  'control message on a data port',
  'datagram too short',
  'unsupported GRE flags',
  'unsupported GRE version',
  'inner packet is not IP',
  'inner packet too short',
] as const;

/** Classifies `length` bytes from `at` on. */
export function classifyDatagram(bytes: Uint8Array, at: number, length: number): DatagramKind {
  if (length < MIN_DATAGRAM_BYTES) return DatagramKind.tooShort;
  if ((bytes[at]! & REFUSED_FLAGS) !== 0) return DatagramKind.unsupportedFlags;
  if ((bytes[at + 1]! & VERSION_MASK) !== 0) return DatagramKind.unsupportedVersion;
  const headerBytes = headerBytesAt(bytes, at);
  const innerBytes = length - headerBytes;
  if (innerBytes < 1) return DatagramKind.tooShort;
  const first = bytes[at + headerBytes]!;
  if (first === KEEPALIVE_BYTE) return DatagramKind.keepalive;
  if (first >= FIRST_CONTROL_BYTE) return DatagramKind.controlOnDataPort;
  const version = first >>> 4;
  if (version === 4) return innerBytes < 20 ? DatagramKind.innerTooShort : DatagramKind.data;
  if (version === 6) return innerBytes < 40 ? DatagramKind.innerTooShort : DatagramKind.data;
  return DatagramKind.notIp;
}

/** The kind in words, for status output and events; counted per kind, never logged per packet. */
export function formatDatagramKind(kind: DatagramKind): string {
  return WORDS[kind];
}
