/**
 * Frames, in which two Wefts carry each direction of a tunnel inside TLS, so that its end has a word of its own: Node
 * does not tell an end that the other side has authenticated (close_notify) from a FIN that anybody may have sent, or
 * the kernel for a program that was killed. Pure.
 *
 *   frame   length (4 bytes, big-endian, 1 to LONGEST_FRAME) · so many bytes of the direction
 *   end     length 0; nothing follows
 *
 * Both agree on it by a field of CONNECT and of its answer: `Weft-Tunnel: frames`.
 *
 * Invariant: no payload is copied or held back; what comes in is given on as parts of itself.
 */

/** As in request and answer, lower case. */
export const FRAMES_FIELD = 'weft-tunnel';
export const FRAMES_VALUE = 'frames';
export const FRAMES_LINE = `Weft-Tunnel: ${FRAMES_VALUE}\r\n`;

export const LONGEST_FRAME = 1024 * 1024;
const HEADER_BYTES = 4;

export const END_FRAME: Uint8Array = Buffer.alloc(HEADER_BYTES);

/** @param length 1 to LONGEST_FRAME */
function frameHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(length);
  return header;
}

/** What to write, in order, for these bytes: one header for all of them where one frame holds them. */
export function framesOf(chunks: readonly Uint8Array[]): Uint8Array[] {
  let total = 0;
  for (const chunk of chunks) total += chunk.length;
  if (total === 0) return [];
  if (total <= LONGEST_FRAME) return [frameHeader(total), ...chunks];
  const pieces: Uint8Array[] = [];
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += LONGEST_FRAME) {
      const piece = chunk.subarray(at, at + LONGEST_FRAME);
      pieces.push(frameHeader(piece.length), piece);
    }
  }
  return pieces;
}

/** Takes the bytes of one direction in any pieces and gives the payload in them. */
export class FrameReader {
  /** Bytes of the current frame that are still to come. */
  #left = 0;
  #header = 0;
  #headerBytes = 0;
  #ended = false;

  /** The end's word has come. */
  get isEnded(): boolean {
    return this.#ended;
  }

  /** Payload in order, sharing memory with `bytes`; `undefined`: these are no frames. Not to be called again then. */
  handleBytes(bytes: Uint8Array): Uint8Array[] | undefined {
    if (!this.#ended && bytes.length > 0 && bytes.length <= this.#left) {
      this.#left -= bytes.length;
      return [bytes];
    }
    const payload: Uint8Array[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#ended) return undefined;
      if (this.#left > 0) {
        const piece = bytes.subarray(at, at + this.#left);
        payload.push(piece);
        at += piece.length;
        this.#left -= piece.length;
        continue;
      }
      this.#header = this.#header * 256 + bytes[at]!;
      at++;
      if (++this.#headerBytes < HEADER_BYTES) continue;
      if (this.#header > LONGEST_FRAME) return undefined;
      this.#left = this.#header;
      this.#ended = this.#header === 0;
      this.#header = 0;
      this.#headerBytes = 0;
    }
    return payload;
  }
}
