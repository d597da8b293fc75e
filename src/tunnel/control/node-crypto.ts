/** Node's hash and random numbers for the pure parts of the control protocol: the only import of node:crypto here. */
import { createHash, createHmac, randomInt } from 'node:crypto';
import type { Sha256 } from './authentication.ts';

export const nodeSha256: Sha256 = (bytes) => createHash('sha256').update(bytes).digest();

/**
 * A token for one exchange, 1..2^32-1, from the system's random numbers. Never 0, which the original sends where it
 * has no token. (The original's tokens follow from the second in which they are made.)
 */
export function nodeRandomToken(): number {
  return randomInt(1, 2 ** 32);
}

/** HMAC-SHA-256 (RFC 2104). */
export const nodeHmacSha256 = (key: Uint8Array, bytes: Uint8Array): Uint8Array =>
  createHmac('sha256', key).update(bytes).digest();

/** A number for one session between two Weft ends of a path, 1..2^48-1, from the system's random numbers. */
export function nodeSessionNumber(): number {
  return randomInt(1, 2 ** 48 - 1);
}
