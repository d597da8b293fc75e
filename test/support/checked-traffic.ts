/**
 * Traffic of which every byte is checked, both ways, for programs at the two ends of many tunnels (pure).
 *
 * The client sends rounds, each a header and a payload, and the server answers each with the payload that the header
 * asks for. When the client ends its direction, the server sends the SHA-256 of all it got, and ends too.
 *
 *   header: 0 reply begins at u32 | 4 reply length u32 | 8 payload length u32   (little-endian)
 *
 * Payloads are pieces of one pool of bytes that both programs make by themselves.
 */
import { createCipheriv, createHash, type Hash } from 'node:crypto';

export const POOL_BYTES = 1 << 20;
export const HEADER_BYTES = 12;
export const DIGEST_BYTES = 32;

/** Bytes without a pattern, the same in every process. */
const pool = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16)).update(
  Buffer.alloc(POOL_BYTES),
);

export const piece = (at: number, length: number) => pool.subarray(at, at + length);

/** A repeatable source of whole numbers below `limit` (mulberry32). */
export function numbersFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

export interface Round {
  readonly replyAt: number;
  readonly replyBytes: number;
  readonly payloadAt: number;
  readonly payloadBytes: number;
}

/** Header and payload. */
export function emitRound(round: Round): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(round.replyAt, 0);
  header.writeUInt32LE(round.replyBytes, 4);
  header.writeUInt32LE(round.payloadBytes, 8);
  return Buffer.concat([header, piece(round.payloadAt, round.payloadBytes)]);
}

/** The server's part of one connection. */
export class CheckedAnswers {
  readonly #hash = createHash('sha256');
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #payloadLeft = 0;

  /** What to send back at this point. */
  handleBytes(bytes: Buffer): Buffer[] {
    this.#hash.update(bytes);
    const replies: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      if (this.#payloadLeft > 0) {
        const taken = Math.min(this.#payloadLeft, bytes.length - at);
        this.#payloadLeft -= taken;
        at += taken;
      } else {
        const taken = bytes.copy(this.#header, this.#headerBytes, at, at + HEADER_BYTES - this.#headerBytes);
        this.#headerBytes += taken;
        at += taken;
        if (this.#headerBytes < HEADER_BYTES) break;
        this.#headerBytes = 0;
        this.#payloadLeft = this.#header.readUInt32LE(8);
        replies.push(piece(this.#header.readUInt32LE(0), this.#header.readUInt32LE(4)));
      }
    }
    return replies;
  }

  /** What to send when the client has ended its direction. */
  handleEnd(): Buffer {
    return this.#hash.digest();
  }
}

/** The client's part of one connection: what it has sent, and whether what comes is what must come. */
export class CheckedReplies {
  readonly #sent: Hash = createHash('sha256');
  /** BOUNDED by the rounds under way. */
  readonly #expected: Buffer[] = [];
  #at = 0;
  bytesSent = 0;
  bytesReceived = 0;
  /** The first thing that was wrong. */
  problem: string | undefined;

  /** Bytes to send for a round. */
  begin(round: Round): Buffer {
    const bytes = emitRound(round);
    this.#sent.update(bytes);
    this.bytesSent += bytes.length;
    if (round.replyBytes > 0) this.#expected.push(piece(round.replyAt, round.replyBytes));
    return bytes;
  }

  /** No round will follow. */
  beginEnd(): void {
    this.#expected.push(this.#sent.digest());
  }

  /** Replies that are not whole yet. */
  get outstanding(): number {
    return this.#expected.length;
  }

  handleBytes(bytes: Buffer): void {
    this.bytesReceived += bytes.length;
    for (let at = 0; at < bytes.length && this.problem === undefined;) {
      const wanted = this.#expected[0];
      if (wanted === undefined) {
        this.problem = `${bytes.length - at} bytes too many`;
        return;
      }
      const length = Math.min(wanted.length - this.#at, bytes.length - at);
      if (bytes.compare(wanted, this.#at, this.#at + length, at, at + length) !== 0) {
        this.problem = `wrong bytes in the ${length} before number ${this.bytesReceived}`;
        return;
      }
      at += length;
      this.#at += length;
      if (this.#at < wanted.length) continue;
      this.#expected.shift();
      this.#at = 0;
    }
  }

  handleEnd(): void {
    if (this.#expected.length > 0) this.problem ??= `ended with ${this.#expected.length} replies missing`;
  }
}
