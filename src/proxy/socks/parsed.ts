/**
 * What the SOCKS codecs give back (pure). A codec looks at everything that came so far and says: a message, not enough
 * yet, or no such message. It never throws and never asks for more than its largest message.
 */
import { canonicalIp, formatIp } from '../../base/index.ts';

export interface Message<T> {
  readonly kind: 'message';
  readonly value: T;
  /** Bytes that the message took; what follows them is the client's next word. */
  readonly length: number;
}

/** `more`: all bytes so far could begin a message, and do not end one. */
export type Parsed<T> =
  Message<T> | { readonly kind: 'more' } | { readonly kind: 'malformed'; readonly reason: string };

export const MORE = { kind: 'more' } as const;

export function message<T>(value: T, length: number): Message<T> {
  return { kind: 'message', value, length };
}

export function malformed(reason: string): { readonly kind: 'malformed'; readonly reason: string } {
  return { kind: 'malformed', reason };
}

/** Letters, digits, hyphen, dot, underscore; as http/target.ts has it for CONNECT. */
const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.-])?$/;
const MAX_NAME_LENGTH = 253;

/**
 * The host that a client names by text: a name in lower case, or an address in canonical text (programs send "10.0.0.1"
 * as a name too). `undefined` for what is neither.
 */
export function hostOfName(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const plain = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const address = canonicalIp(plain);
  if (address !== undefined) return address;
  if (text.length > MAX_NAME_LENGTH || !NAME.test(text)) return undefined;
  return text.toLowerCase();
}

/** Text of 4 or 16 bytes. */
export function hostOfAddress(bytes: Uint8Array): string {
  return formatIp(bytes);
}
