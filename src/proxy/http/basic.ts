/**
 * The value of Proxy-Authorization (pure): `Basic` and base64 of `user:password` in UTF-8 (RFC 7617).
 */
import type { Credentials } from '../socks/socks5.ts';

const FORM = /^basic +([A-Za-z0-9+/]{1,2048}={0,2}) *$/i;

/** `undefined` for any other scheme and for what is malformed. */
export function parseBasic(value: string): Credentials | undefined {
  const encoded = FORM.exec(value)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return undefined;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
