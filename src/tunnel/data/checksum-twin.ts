/**
 * The Internet checksum's sums (RFC 1071) in plain TypeScript: what `checksum.as.ts` computes in WebAssembly, for
 * engines without SIMD and for the tests, which compare the two. Pure.
 *
 * A sum is the one's complement sum of 16-bit big-endian words, folded to 16 bits, not inverted. An odd last byte counts
 * as the high half of a word. Sums of pieces of even length may be added and folded again. 0 and 0xffff are both zero in
 * one's complement; which of them comes out for zero is not part of the contract, except that bytes of 0 give 0.
 */

/** What a checksum engine does in a memory; offsets and lengths are bytes. */
export interface Checksums {
  /** Sum of `length` bytes from `at` on, 0 to 0xffff. */
  sum(at: number, length: number): number;
  /**
   * Sums of the pieces of `stride` bytes into which `length` bytes from `at` on fall, the last may be shorter: as u32
   * of the machine's order from `table` (a multiple of 4) on. A `stride` of 0 writes nothing.
   */
  sumPieces(at: number, length: number, stride: number, table: number): void;
  /** Copies; the two may overlap. */
  copy(to: number, from: number, length: number): void;
}

/** Adds the carries of a sum of less than 2^48 in. */
export function foldSum(sum: number): number {
  let rest = sum;
  while (rest > 0xffff) rest = (rest % 0x10000) + Math.floor(rest / 0x10000);
  return rest;
}

/** The same for a sum below 2^31, as quick as it gets. */
export function foldSmallSum(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** Sum of bytes, as `Checksums.sum`. */
export function sumBytes(bytes: Uint8Array, at: number, length: number): number {
  const even = at + (length & ~1);
  let sum = 0;
  for (let i = at; i < even; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  if ((length & 1) !== 0) sum += bytes[even]! << 8;
  return foldSum(sum);
}

export class ChecksumTwin implements Checksums {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;

  constructor(memory: ArrayBuffer) {
    this.#bytes = new Uint8Array(memory);
    this.#words = new Uint32Array(memory);
  }

  sum(at: number, length: number): number {
    return sumBytes(this.#bytes, at, length);
  }

  sumPieces(at: number, length: number, stride: number, table: number): void {
    if (stride === 0) return;
    let word = table >>> 2;
    for (let done = 0; done < length; done += stride) {
      this.#words[word++] = sumBytes(this.#bytes, at + done, Math.min(stride, length - done));
    }
  }

  copy(to: number, from: number, length: number): void {
    this.#bytes.copyWithin(to, from, from + length);
  }
}
