/**
 * The mark by which Weft knows Weft: in bytes of the keepalive that the original sends as zero and never reads. It is
 * in each keepalive from the first one on, whoever the peer is. Pure.
 *
 *   offset  size  field (offsets of the datagram, keepalive.ts)
 *   5       4     "Weft", 57 65 66 74
 *   10      1     highest version of the extension that the sender understands, from 1 on
 *   11      1     0
 *
 * A mark says only that an extension would be understood. It is not authentic, and nothing else follows from it.
 */
import { headerBytesAt } from '../wire/data-header.ts';
import { KEEPALIVE_BYTES } from '../wire/keepalive.ts';

export const EXTENSION_VERSION = 1;

/** Relative to the byte 0xA1. */
const AT_MARK = 1;
const AT_MARK_VERSION = 6;
const MARK = [0x57, 0x65, 0x66, 0x74] as const;

/** Marks the keepalive at `at`, which `emitKeepalive` has written. */
export function emitMark(out: Uint8Array, at: number): void {
  const body = at + headerBytesAt(out, at);
  out.set(MARK, body + AT_MARK);
  out[body + AT_MARK_VERSION] = EXTENSION_VERSION;
}

/** Highest version of the extension that the sender of a keepalive understands; 0 from the original. */
export function markedVersion(bytes: Uint8Array): number {
  if (bytes.length < KEEPALIVE_BYTES) return 0;
  const body = headerBytesAt(bytes, 0);
  for (const [index, byte] of MARK.entries()) if (bytes[body + AT_MARK + index] !== byte) return 0;
  return bytes[body + AT_MARK_VERSION]!;
}
