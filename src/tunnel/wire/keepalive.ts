/**
 * The keepalive: sent on the data port of each path at once at the start and then every keepalive_time, while the
 * path's status is 0x00 or 0x80. Never sequence-numbered, never authenticated; the original looks at the byte 0xA1
 * and the source address only, ignores the rest, and accepts longer ones.
 *
 *   offset  size  field
 *   0       4     GRE header without sequence number (data-header.ts)
 *   4       1     0xA1
 *   5       4     0
 *   9       1     IP version of the connection, 4 or 6
 *   10      2     0
 *   12      16    sender's ip_local, IPv4 as ::ffff:a.b.c.d
 *   28      16    sender's ip_remote
 *   44      n     extension; none in the original. Only between peers that know each other as Weft.
 *
 * From offset 4 on this is a control message (../control/message.ts) of round 0 without authentication field.
 */
import { emitPlainHeader, headerBytesAt, PLAIN_HEADER_BYTES, type IpVersion } from './data-header.ts';
import { KEEPALIVE_BYTE } from './classify.ts';

/** Length of the original's keepalive. */
export const KEEPALIVE_BYTES = 44;

const BODY_BYTES = KEEPALIVE_BYTES - PLAIN_HEADER_BYTES;
const AT_VERSION = 5;
const AT_LOCAL = 8;
const AT_REMOTE = 24;

export interface Keepalive {
  readonly ipVersion: IpVersion;
  /** 16 bytes; IPv4 is mapped (::ffff:a.b.c.d). */
  readonly ipLocal: Uint8Array;
  /** 16 bytes. */
  readonly ipRemote: Uint8Array;
  /** What follows the 44 bytes; empty from the original. */
  readonly extension: Uint8Array;
}

/**
 * Writes a keepalive at `at` and returns its length. `out` must have room for 44 bytes and the extension. The bytes
 * never change for a connection, so a sender builds them once.
 */
export function emitKeepalive(out: Uint8Array, at: number, keepalive: Keepalive): number {
  emitPlainHeader(out, at, keepalive.ipVersion);
  const body = at + PLAIN_HEADER_BYTES;
  out.fill(0, body, body + BODY_BYTES);
  out[body] = KEEPALIVE_BYTE;
  out[body + AT_VERSION] = keepalive.ipVersion;
  out.set(keepalive.ipLocal, body + AT_LOCAL);
  out.set(keepalive.ipRemote, body + AT_REMOTE);
  out.set(keepalive.extension, body + BODY_BYTES);
  return KEEPALIVE_BYTES + keepalive.extension.length;
}

/**
 * Reads a datagram that `classifyDatagram` calls a keepalive. `undefined` when it is shorter than the original's or
 * names another IP version: it counts as a sign of life all the same, but says nothing more. Parts of `bytes` are
 * returned, not copies.
 */
export function parseKeepalive(bytes: Uint8Array, at: number, length: number): Keepalive | undefined {
  if (length < KEEPALIVE_BYTES) return undefined;
  const body = at + headerBytesAt(bytes, at);
  const end = at + length;
  if (end - body < BODY_BYTES) return undefined;
  const ipVersion = bytes[body + AT_VERSION]!;
  if (ipVersion !== 4 && ipVersion !== 6) return undefined;
  return {
    ipVersion,
    ipLocal: bytes.subarray(body + AT_LOCAL, body + AT_REMOTE),
    ipRemote: bytes.subarray(body + AT_REMOTE, body + BODY_BYTES),
    extension: bytes.subarray(body + BODY_BYTES, end),
  };
}
