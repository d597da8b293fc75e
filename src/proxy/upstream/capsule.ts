/**
 * Capsules on a stream (RFC 9297 section 3.2), as connect-udp uses them (RFC 9298 section 5). Pure.
 *
 *   capsule    type (varint) · length (varint) · value
 *   DATAGRAM   type 0; value: context (varint) · payload; context 0 is one UDP datagram
 *   varint     RFC 9000 section 16: the first two bits say 1, 2, 4 or 8 bytes, big-endian
 *
 * Capsules of other types and datagrams of other contexts are skipped, as the RFCs say.
 */

const DATAGRAM = 0;
/** A UDP payload has at most 65,527 bytes; what claims to be longer is skipped, at no cost in memory. */
export const LONGEST_PAYLOAD = 65_527;
const LONGEST_VALUE = LONGEST_PAYLOAD + 1;

interface Varint {
  readonly value: number;
  readonly bytes: number;
}

/** `undefined`: more bytes are wanted. Values beyond 2^53 come out rounded; they are only ever compared and skipped. */
function readVarint(bytes: Uint8Array, at: number): Varint | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  const length = 1 << (first >> 6);
  if (at + length > bytes.length) return undefined;
  let value = first & 0x3f;
  for (let i = 1; i < length; i++) value = value * 256 + bytes[at + i]!;
  return { value, bytes: length };
}

function varint(value: number): Buffer {
  if (value < 0x40) return Buffer.of(value);
  if (value < 0x4000) return Buffer.of(0x40 | (value >> 8), value & 0xff);
  return Buffer.of(0x80 | (value >>> 24), (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** One UDP datagram as a capsule. `payload` has at most LONGEST_PAYLOAD bytes. */
export function emitDatagramCapsule(payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(DATAGRAM), varint(payload.length + 1), Buffer.of(0), payload]);
}

/** Takes the bytes of a stream in any pieces and gives the datagrams in it. */
export class CapsuleReader {
  /** BOUNDED: one capsule that is to be kept, and what one read adds. */
  #rest: Uint8Array = new Uint8Array(0);
  /** Bytes of a capsule still to be skipped. */
  #skip = 0;

  /** Payloads in order; they may share memory with `bytes`. */
  handleBytes(bytes: Uint8Array): Uint8Array[] {
    const payloads: Uint8Array[] = [];
    let from = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, from.length);
        from = from.subarray(skipped);
        this.#skip -= skipped;
      }
      const type = readVarint(from, 0);
      const length = type === undefined ? undefined : readVarint(from, type.bytes);
      if (type === undefined || length === undefined) break;
      const begin = type.bytes + length.bytes;
      if (type.value !== DATAGRAM || length.value > LONGEST_VALUE) {
        this.#skip = begin + length.value;
        continue;
      }
      if (from.length < begin + length.value) break;
      const value = from.subarray(begin, begin + length.value);
      const context = readVarint(value, 0);
      if (context?.value === 0) payloads.push(value.subarray(context.bytes));
      from = from.subarray(begin + length.value);
    }
    // A copy, so that a few bytes do not keep a whole read alive.
    this.#rest = from.length === 0 ? from : Uint8Array.from(from);
    return payloads;
  }
}
