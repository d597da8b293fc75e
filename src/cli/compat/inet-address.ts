/**
 * Addresses as iproute2 takes them (pure): IPv6 text, or one to four IPv4 parts, each a C number, filled up with
 * zeros on the right (`10.1` is 10.1.0.0, `010.0.0.1` is 8.0.0.1). No prefix, no zone, no host name. The words
 * `any`, `all` and `default` stand for an address of no family, which the kernel is left to refuse.
 */
import { canonicalIp, formatIp } from '../../base/index.ts';
import { parseCNumber, U8_MAX } from './c-number.ts';

/** What `any` becomes: an address without family and bytes. */
export const NO_ADDRESS = '';

const WILDCARDS: ReadonlySet<string> = new Set(['any', 'all', 'default']);

function parseIpv4Parts(text: string): string | undefined {
  const parts = text.split('.');
  if (parts.length > 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    const value = parseCNumber(part, U8_MAX);
    if (value === undefined) return undefined;
    bytes[i] = value;
  }
  return formatIp(bytes);
}

/** Canonical text, `NO_ADDRESS` for the wildcards, or `undefined` when it is no address. */
export function parseInetAddress(text: string): string | undefined {
  if (WILDCARDS.has(text)) return NO_ADDRESS;
  return text.includes(':') ? canonicalIp(text) : parseIpv4Parts(text);
}
