/**
 * Which connection an inner packet belongs to: the first, in their order, of which the source is the tunnel address or in
 * one of the own networks, and the destination is the peer's tunnel address or in one of the networks behind it. Source
 * and destination are judged independently, as in the original. Pure; any bytes are allowed.
 *
 * Answers are remembered by pair of addresses. BOUNDED: `SLOTS` pairs of each IP version, the newer one of two in a slot
 * stays; forgotten whenever a connection comes or goes. What matched nothing is remembered too.
 */
import { parseIpv4, parseIpv6, type Prefix } from '../../base/index.ts';

/** What is looked through; part of DataConnection. */
export interface ConnectionAddresses {
  readonly id: number;
  readonly order: number;
  readonly ipVersion: 4 | 6;
  readonly localAddress: Uint8Array;
  readonly remoteAddress: Uint8Array;
  readonly sources: readonly Prefix[];
  readonly destinations: readonly Prefix[];
}

export const NO_CONNECTION = -1;

const SLOTS = 256;
const V4_SOURCE = 12;
const V6_SOURCE = 8;
const V6_WORDS = 8;
const EMPTY = -2;

interface Network {
  readonly address: Uint8Array;
  readonly length: number;
}

interface Side {
  readonly v4: readonly Network[];
  readonly v6: readonly Network[];
}

interface Entry {
  readonly id: number;
  readonly order: number;
  readonly source: Side;
  readonly destination: Side;
}

function networkOf({ address, length }: Prefix): Network | undefined {
  const bytes = parseIpv4(address) ?? parseIpv6(address);
  return bytes && { address: bytes, length };
}

function sideOf(own: Uint8Array, prefixes: readonly Prefix[]): Side {
  const networks = [
    { address: own, length: own.length * 8 },
    ...prefixes.map(networkOf).filter((network) => network !== undefined),
  ];
  return {
    v4: networks.filter(({ address }) => address.length === 4),
    v6: networks.filter(({ address }) => address.length === 16),
  };
}

function isIn(bytes: Uint8Array, at: number, { address, length }: Network): boolean {
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) if (bytes[at + i] !== address[i]) return false;
  const rest = length & 7;
  return rest === 0 || ((bytes[at + whole]! ^ address[whole]!) & (0xff00 >> rest)) === 0;
}

function isInAny(bytes: Uint8Array, at: number, networks: readonly Network[]): boolean {
  for (const network of networks) if (isIn(bytes, at, network)) return true;
  return false;
}

function hashWords(view: DataView, at: number, count: number): number {
  let hash = 0;
  for (let i = 0; i < count; i++) hash = Math.imul(hash ^ view.getUint32(at + 4 * i), 0x9e3779b1);
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}

/** Pairs of addresses of one IP version and the connection of each. */
class PairCache {
  readonly #words: number;
  readonly #pairs: Uint32Array;
  readonly #ids = new Int32Array(SLOTS).fill(EMPTY);

  constructor(words: number) {
    this.#words = words;
    this.#pairs = new Uint32Array(SLOTS * words);
  }

  clear(): void {
    this.#ids.fill(EMPTY);
  }

  get(view: DataView, at: number, slot: number): number {
    const from = slot * this.#words;
    for (let i = 0; i < this.#words; i++) {
      if (this.#pairs[from + i] !== view.getUint32(at + 4 * i)) return EMPTY;
    }
    return this.#ids[slot]!;
  }

  put(view: DataView, at: number, slot: number, id: number): void {
    const from = slot * this.#words;
    for (let i = 0; i < this.#words; i++) this.#pairs[from + i] = view.getUint32(at + 4 * i);
    this.#ids[slot] = id;
  }
}

export class ConnectionLookup {
  /** In the order in which they are tried. BOUNDED: by the connections. */
  #entries: Entry[] = [];
  readonly #pairsV4 = new PairCache(2);
  readonly #pairsV6 = new PairCache(V6_WORDS);

  /** Adds a connection, or takes the place of the one with its id. */
  set(connection: ConnectionAddresses): void {
    this.delete(connection.id);
    this.#entries.push({
      id: connection.id,
      order: connection.order,
      source: sideOf(connection.localAddress, connection.sources),
      destination: sideOf(connection.remoteAddress, connection.destinations),
    });
    this.#entries.sort((a, b) => a.order - b.order);
  }

  delete(id: number): void {
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
    this.#pairsV4.clear();
    this.#pairsV6.clear();
  }

  /**
   * Id of the connection of the packet at `at`, which has a whole IP header, or `NO_CONNECTION`. `view` and `bytes` are
   * of the same memory.
   */
  find(view: DataView, bytes: Uint8Array, at: number): number {
    const isV4 = bytes[at]! >> 4 === 4;
    const pairs = isV4 ? this.#pairsV4 : this.#pairsV6;
    const source = at + (isV4 ? V4_SOURCE : V6_SOURCE);
    const slot = hashWords(view, source, isV4 ? 2 : V6_WORDS);
    const known = pairs.get(view, source, slot);
    if (known !== EMPTY) return known;
    const id = this.#search(bytes, isV4, source);
    pairs.put(view, source, slot, id);
    return id;
  }

  #search(bytes: Uint8Array, isV4: boolean, source: number): number {
    const destination = source + (isV4 ? 4 : 16);
    for (const entry of this.#entries) {
      const sources = isV4 ? entry.source.v4 : entry.source.v6;
      const destinations = isV4 ? entry.destination.v4 : entry.destination.v6;
      if (isInAny(bytes, source, sources) && isInAny(bytes, destination, destinations)) return entry.id;
    }
    return NO_CONNECTION;
  }
}
