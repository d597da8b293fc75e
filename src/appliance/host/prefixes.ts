/**
 * Which addresses the links between host and guest get (pure): an IPv4 /30 and an IPv6 /64 for each, out of what no
 * address and no route of the host covers. The same link name begins its search at the same place, so that it keeps
 * its prefix from one start to the next where the host's networks let it.
 *
 * Invariant: what is chosen overlaps with nothing in `taken` and not with one another.
 *
 * References: RFC 1918, RFC 2544 (198.18.0.0/15), RFC 4193 (unique local addresses).
 */
import { createHash } from 'node:crypto';
import { formatIp, inPrefix, networkOf, parseIp, WeftError, type Prefix } from '../../base/index.ts';

/** In this order. Inside of each a link's name says where the search begins. */
const POOLS: readonly Prefix[] = [
  { address: '10.0.0.0', length: 8 },
  { address: '172.16.0.0', length: 12 },
  { address: '192.168.0.0', length: 16 },
  { address: '198.18.0.0', length: 15 },
];
const IPV4_LENGTH = 30;
const IPV6_LENGTH = 64;
/** BOUNDED: candidates looked at in one pool. They lie so far apart that a pool without a hit is taken as a whole. */
const TRIES_IN_POOL = 1024;
/** Of the candidates of a pool: a large prime, so that all of the pool is visited. */
const STRIDE = 7919;

export interface LinkPrefixes {
  readonly ipv4: Prefix;
  readonly ipv6: Prefix;
}

const overlaps = (a: Prefix, b: Prefix) => inPrefix(a.address, b) || inPrefix(b.address, a);

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function ipv4At(value: number): string {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, false);
  return formatIp(bytes);
}

function valueOf(address: string): number {
  const bytes = parseIp(address) ?? new Uint8Array(4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, false);
}

function* ipv4Candidates(seed: string): Generator<Prefix> {
  const start = hashOf(seed).readUInt32BE(0);
  for (const pool of POOLS) {
    const count = 2 ** (IPV4_LENGTH - pool.length);
    for (let i = 0; i < Math.min(TRIES_IN_POOL, count); i++) {
      const place = (start + i * STRIDE) % count;
      yield { address: ipv4At(valueOf(pool.address) + place * 4), length: IPV4_LENGTH };
    }
  }
}

function* ipv6Candidates(seed: string): Generator<Prefix> {
  for (let i = 0; i < TRIES_IN_POOL; i++) {
    const bytes = new Uint8Array(16);
    bytes.set(hashOf(`${seed} ${i}`).subarray(0, 8));
    bytes[0] = 0xfd;
    yield { address: networkOf(formatIp(bytes), IPV6_LENGTH), length: IPV6_LENGTH };
  }
}

function firstFree(candidates: Iterable<Prefix>, taken: readonly Prefix[]): Prefix | undefined {
  for (const candidate of candidates) {
    if (!taken.some((other) => overlaps(candidate, other))) return candidate;
  }
  return undefined;
}

/** Whether one of a link's prefixes collides with something of the host's. */
export function isTaken({ ipv4, ipv6 }: LinkPrefixes, taken: readonly Prefix[]): boolean {
  return taken.some((other) => overlaps(ipv4, other) || overlaps(ipv6, other));
}

/**
 * @param seed what the search begins with: the link's name, with something of this machine's own
 * @param taken prefixes of the host's addresses and routes, and of links that were given theirs already
 * @throws WeftError NO_PREFIX
 */
export function choosePrefixes(seed: string, taken: readonly Prefix[]): LinkPrefixes {
  const ipv4 = firstFree(ipv4Candidates(seed), taken);
  const ipv6 = firstFree(ipv6Candidates(seed), taken);
  if (ipv4 !== undefined && ipv6 !== undefined) return { ipv4, ipv6 };
  throw new WeftError('no private network is free for a link to the appliance', {
    code: 'NO_PREFIX',
    hint: 'routes of this host cover all of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and 198.18.0.0/15: narrow one of them',
  });
}

/** The host's own address of a link, `.1`, and the guest's, `.2`. */
export function endsOf({ address, length }: Prefix): { readonly host: Prefix; readonly guest: Prefix } {
  const at = (number: number): Prefix => {
    const bytes = parseIp(address) ?? new Uint8Array(4);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) + number;
    return { address: formatIp(bytes), length };
  };
  return { host: at(1), guest: at(2) };
}
