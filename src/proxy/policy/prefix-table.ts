/**
 * Values filed under IP prefixes (pure): one hash look-up for each prefix length that occurs, whatever their number.
 *
 * Invariant: a prefix's host bits do not count; families do not mix.
 */
import { parseIp, type Prefix } from '../../base/index.ts';

/** The first `length` bits as text that only serves as a key. */
function keyOf(bytes: Uint8Array, length: number): string {
  const whole = length >> 3;
  const rest = length & 7;
  let key = '';
  for (let i = 0; i < whole; i++) key += String.fromCharCode(bytes[i]!);
  if (rest > 0) key += String.fromCharCode(bytes[whole]! & (0xff << (8 - rest)));
  return key;
}

export class PrefixTable<T> {
  /** By bytes of an address (4 or 16), then by prefix length. BOUNDED: what was added. */
  readonly #byFamily = new Map<number, Map<number, Map<string, T>>>();

  /** The value filed under this very prefix, made when there is none. */
  at(prefix: Prefix, make: () => T): T {
    const bytes = parseIp(prefix.address);
    if (bytes === undefined) throw new Error(`"${prefix.address}" is not an address`);
    let lengths = this.#byFamily.get(bytes.length);
    if (lengths === undefined) this.#byFamily.set(bytes.length, (lengths = new Map()));
    let values = lengths.get(prefix.length);
    if (values === undefined) lengths.set(prefix.length, (values = new Map()));
    const key = keyOf(bytes, prefix.length);
    let value = values.get(key);
    if (value === undefined) values.set(key, (value = make()));
    return value;
  }

  /** Every value whose prefix holds the address. */
  *matches(address: Uint8Array): Generator<T> {
    const lengths = this.#byFamily.get(address.length);
    if (lengths === undefined) return;
    for (const [length, values] of lengths) {
      const value = values.get(keyOf(address, length));
      if (value !== undefined) yield value;
    }
  }

  holds(address: Uint8Array): boolean {
    return !this.matches(address).next().done;
  }
}

export class PrefixSet {
  readonly #table = new PrefixTable<true>();

  constructor(prefixes: readonly Prefix[]) {
    for (const prefix of prefixes) this.#table.at(prefix, () => true);
  }

  holds(address: Uint8Array): boolean {
    return this.#table.holds(address);
  }
}

const MAPPED_KEY = keyOf(parseIp('::ffff:0.0.0.0')!, 96);
const NAT64_KEY = keyOf(parseIp('64:ff9b::')!, 96);

/**
 * The addresses that rules see in one address: IPv4 inside IPv6 counts as IPv4 (RFC 4291 section 2.5.5.2); with the
 * well-known prefix of translators (RFC 6052) as both. Empty for what is no address.
 */
export function rulesSee(address: string): Uint8Array[] {
  // A zone names a link of this host and is no part of the address (RFC 4007 section 11).
  const bytes = parseIp(address.replace(/%.*$/, ''));
  if (bytes === undefined) return [];
  if (bytes.length === 4) return [bytes];
  const key = keyOf(bytes, 96);
  if (key === MAPPED_KEY) return [bytes.subarray(12)];
  return key === NAT64_KEY ? [bytes, bytes.subarray(12)] : [bytes];
}

/** The same of an address to connect to: the unspecified ones lead to this host's loopback (ip(7)). */
export function rulesSeeDestination(address: string): Uint8Array[] {
  return rulesSee(address).map((bytes) => {
    if (bytes.some((byte) => byte !== 0)) return bytes;
    return bytes.length === 4 ? Uint8Array.of(127, 0, 0, 1) : parseIp('::1')!;
  });
}
