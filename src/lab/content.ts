/**
 * The data that the lab's web server sends (pure): any number of bytes that follow from a seed, each block of
 * 64 KiB with its number in front, so that a missing, doubled or exchanged block changes the digest.
 *
 * Not random in any sense that matters beyond "does not compress and does not repeat".
 */

export const BLOCK_BYTES = 65_536;
const NUMBER_BYTES = 8;

/** xorshift32 (Marsaglia 2003). */
function fillFromSeed(bytes: Uint8Array, seed: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
}

/** Makes the content piece by piece, in order. */
export class ContentSource {
  readonly #pattern = new Uint8Array(new ArrayBuffer(BLOCK_BYTES));
  #block = 0;
  #leftBytes: number;

  constructor(totalBytes: number, seed: number) {
    this.#leftBytes = totalBytes;
    fillFromSeed(this.#pattern, seed);
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** The next blocks, as many as fit; empty at the end. `into` is a whole number of blocks long. */
  next(into: Uint8Array): Uint8Array {
    const view = new DataView(into.buffer, into.byteOffset, into.length);
    const length = Math.min(into.length, this.#leftBytes);
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      into.set(this.#pattern, at);
      view.setUint32(at, this.#block % 0x100000000, true);
      view.setUint32(at + NUMBER_BYTES / 2, Math.floor(this.#block / 0x100000000), true);
      this.#block++;
    }
    this.#leftBytes -= length;
    return into.subarray(0, length);
  }
}

/** What a request of the web server asks for. */
export type ContentRequest =
  | { readonly kind: 'bytes'; readonly totalBytes: number; readonly seed: number }
  | { readonly kind: 'upload' }
  | { readonly kind: 'unknown' };

/** `/bytes/N?seed=S` (any method that reads) and `/upload`. */
export function parseContentRequest(target: string): ContentRequest {
  const bytes = /^\/bytes\/(\d{1,15})(?:\?seed=(\d{1,9}))?$/.exec(target);
  if (bytes !== null) return { kind: 'bytes', totalBytes: Number(bytes[1]), seed: Number(bytes[2] ?? 0) };
  return target === '/upload' ? { kind: 'upload' } : { kind: 'unknown' };
}
