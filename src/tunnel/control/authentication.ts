/**
 * Authentication type 2: SHA-256 over the message with its hash field (offsets 8 to 39) zero, followed by the 32 key
 * bytes. Pure; the hash function is an argument (node-crypto.ts has Node's).
 *
 * The key bytes are the first 32 *characters* of the configuration's auth_key, as they stand there: its hex digits
 * are not decoded, so a key written in hex has 128 bits. Not an HMAC but what the original computes: with the key
 * at the end nothing can be appended, and a forgery takes a collision of SHA-256.
 */
import { hashOf } from './message.ts';

/** SHA-256 of `bytes`: 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

export const KEY_BYTES = 32;

/** The original's key where none is configured: public knowledge, so it protects nothing. */
export const DEFAULT_KEY_TEXT = 'A0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF';

/** Key bytes of a configured auth_key; shorter texts are filled with zero bytes, as in the original. */
export function keyOf(text: string): Uint8Array {
  const key = new Uint8Array(KEY_BYTES);
  key.set(new TextEncoder().encode(text).subarray(0, KEY_BYTES));
  return key;
}

/** The key of the original's connections that were made by a peer and have authentication type 0 or 1. */
export const ZERO_KEY: Uint8Array = new Uint8Array(KEY_BYTES);

/** Writes the hash into a message of type 2. */
export function sealMessage(message: Uint8Array, key: Uint8Array, sha256: Sha256): void {
  hashOf(message).set(expectedHash(message, key, sha256));
}

/** Whether a message of type 2 was made with `key`. Takes the same time wherever the hashes differ. */
export function isSealedWith(message: Uint8Array, key: Uint8Array, sha256: Sha256): boolean {
  return equalBytes(hashOf(message), expectedHash(message, key, sha256));
}

function expectedHash(message: Uint8Array, key: Uint8Array, sha256: Sha256): Uint8Array {
  const input = new Uint8Array(message.length + KEY_BYTES);
  input.set(message);
  hashOf(input).fill(0);
  input.set(key, message.length);
  return sha256(input);
}

/** Equality in a time that depends on the lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}
