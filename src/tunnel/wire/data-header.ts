/**
 * The header of a data datagram: GRE (RFC 2784, RFC 2890) in UDP (RFC 8086), as MPT uses it. Pure, and without an
 * allocation: everything is written into and read from a buffer that the caller owns.
 *
 *   offset  size  field
 *   0       1     flags: 0x10 = a sequence number follows; C, K and the reserved bits are 0
 *   1       1     reserved and version, 0
 *   2       2     protocol type, network order: 0x0800 or 0x86DD, after the IP version of the *connection*
 *   4       4     sequence number, network order; only with flag 0x10
 *   4 or 8  n     inner IP packet
 *
 * The sequence number counts the data packets of a connection over all its paths, modulo 2^32, from 0.
 *
 * Not here: what a received datagram is (classify.ts), sequence arithmetic (sequence.ts).
 */

/** IP version of a connection's tunnel addresses; it decides the protocol type, whatever the inner packet is. */
export type IpVersion = 4 | 6;

export const PLAIN_HEADER_BYTES = 4;
export const SEQUENCED_HEADER_BYTES = 8;
/** Room that any data header needs. */
export const MAX_HEADER_BYTES = SEQUENCED_HEADER_BYTES;

export const GRE_SEQUENCE_FLAG = 0x10;
export const PROTOCOL_IPV4 = 0x0800;
export const PROTOCOL_IPV6 = 0x86dd;

/** GRE protocol type of a connection. */
export function protocolTypeOf(ipVersion: IpVersion): number {
  return ipVersion === 6 ? PROTOCOL_IPV6 : PROTOCOL_IPV4;
}

/** Writes a header without sequence number at `at` and returns its length, 4. */
export function emitPlainHeader(out: Uint8Array, at: number, ipVersion: IpVersion): number {
  const type = protocolTypeOf(ipVersion);
  out[at] = 0;
  out[at + 1] = 0;
  out[at + 2] = type >>> 8;
  out[at + 3] = type & 0xff;
  return PLAIN_HEADER_BYTES;
}

/** Writes a header with the low 32 bits of `sequence` at `at` and returns its length, 8. */
export function emitSequencedHeader(
  out: Uint8Array,
  at: number,
  ipVersion: IpVersion,
  sequence: number,
): number {
  const type = protocolTypeOf(ipVersion);
  out[at] = GRE_SEQUENCE_FLAG;
  out[at + 1] = 0;
  out[at + 2] = type >>> 8;
  out[at + 3] = type & 0xff;
  out[at + 4] = (sequence >>> 24) & 0xff;
  out[at + 5] = (sequence >>> 16) & 0xff;
  out[at + 6] = (sequence >>> 8) & 0xff;
  out[at + 7] = sequence & 0xff;
  return SEQUENCED_HEADER_BYTES;
}

/** Whether the header at `at` carries a sequence number. */
export function isSequenced(bytes: Uint8Array, at: number): boolean {
  return (bytes[at]! & GRE_SEQUENCE_FLAG) !== 0;
}

/** Length of the header at `at`, 4 or 8: where the inner packet begins. */
export function headerBytesAt(bytes: Uint8Array, at: number): number {
  return isSequenced(bytes, at) ? SEQUENCED_HEADER_BYTES : PLAIN_HEADER_BYTES;
}

/** Sequence number (0..2^32-1) of the header at `at`; only meaningful where `isSequenced`. */
export function sequenceAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>> 0;
}
