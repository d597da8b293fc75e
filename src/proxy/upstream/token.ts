/**
 * The token that a Weft and its far end share, and the TLS key that is made of it (pure, but for makeToken).
 *
 *   identity = HKDF-SHA256(token, salt, "identity")   goes over the wire in clear, tells nothing of the token
 *   key      = HKDF-SHA256(token, salt, "key")        TLS 1.3 external PSK, used with (EC)DHE (psk_dhe_ke)
 *
 * Whoever records a session cannot read it later, not even with the token, because each has its own (EC)DHE secret;
 * and cannot play it again, because each side's fresh random goes into the keys. What a recording allows is trying
 * tokens, so a token has at least 128 bits: it is made by a machine, never thought of.
 *
 * References: RFC 8446 sections 2.2, 4.2.11; RFC 9257 (external PSKs); RFC 5869 (HKDF).
 */
import { hkdfSync, randomBytes } from 'node:crypto';

const SALT = 'weft serve 1';
const IDENTITY_BYTES = 16;
const KEY_BYTES = 32;
const TOKEN_BYTES = 32;
/** 22 characters of base64url are 131 bits. */
const SHORTEST_TOKEN = 22;
const LONGEST_TOKEN = 512;
/** BOUNDED: a far end has so many clients at most. */
export const MAX_TOKENS = 1024;

export interface TokenKey {
  readonly identity: string;
  /** Secret. */
  readonly key: Buffer;
}

export interface NamedToken {
  /** Whose it is; `token 1` … when the file does not say. */
  readonly name: string;
  /** Secret. */
  readonly token: string;
}

/** A new token: 256 bits as base64url. */
export function makeToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

export function deriveTokenKey(token: string): TokenKey {
  const derive = (info: string, bytes: number) => Buffer.from(hkdfSync('sha256', token, SALT, info, bytes));
  return { identity: derive('identity', IDENTITY_BYTES).toString('hex'), key: derive('key', KEY_BYTES) };
}

/**
 * The tokens of a file: one a line, with a name before it or not; `#` begins a comment. Returns what is wrong, as text
 * that holds no token.
 */
export function parseTokenFile(text: string): readonly NamedToken[] | string {
  const tokens: NamedToken[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/(^|\s)#.*$/, '').trim();
    if (line === '') continue;
    const at = `line ${index + 1}`;
    const words = line.split(/\s+/);
    const [name, token] =
      words.length === 1 ? [`token ${tokens.length + 1}`, words[0]!] : [words[0]!, words[1]!];
    if (words.length > 2) return `${at}: expected TOKEN or NAME TOKEN`;
    if (words.length === 2 && !/^[\w.@-]{1,64}$/.test(name)) {
      return `${at}: a name has up to 64 letters, digits and . _ @ -`;
    }
    if (!/^[\x21-\x7e]+$/.test(token) || token.length > LONGEST_TOKEN) {
      return `${at}: a token has at most ${LONGEST_TOKEN} letters, digits and signs`;
    }
    if (token.length < SHORTEST_TOKEN) {
      return `${at}: the token is too short to be safe (at least ${SHORTEST_TOKEN} random characters)`;
    }
    if (tokens.some((known) => known.name === name || known.token === token)) {
      return `${at}: this name or token was there before`;
    }
    tokens.push({ name, token });
    if (tokens.length > MAX_TOKENS) return `${at}: more than ${MAX_TOKENS} tokens`;
  }
  return tokens.length === 0 ? 'there is no token in it' : tokens;
}
