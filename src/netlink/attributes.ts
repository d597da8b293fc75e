/**
 * Netlink attributes (pure): type-length-value records, 4-byte aligned, nested by containing more of them.
 *
 *   0  length u16 host, header included, padding not
 *   2  type   u16 host; 0x8000 nested, 0x4000 payload in network order
 *   4  payload, padded with zeros to a multiple of 4
 *
 * References: <linux/netlink.h>, Documentation/userspace-api/netlink/intro.rst.
 */

import { formatIp } from '../base/ip.ts';

const HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const align4 = (length: number) => (length + 3) & ~3;

/** Little-endian numbers, as both architectures that Weft runs on have them. */
export const u16At = (bytes: Uint8Array, at: number) => bytes[at]! | (bytes[at + 1]! << 8);
export const u32At = (bytes: Uint8Array, at: number) =>
  (u16At(bytes, at) | (u16At(bytes, at + 2) << 16)) >>> 0;

/** Builds a payload: fixed structures first, then attributes. Grows as needed. */
export class PayloadWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  #reserve(count: number): number {
    const at = this.#length;
    const wanted = at + align4(count);
    if (wanted > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = wanted;
    return at;
  }

  /** Appends a fixed structure, padded to 4 bytes. */
  struct(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  #header(type: number, payloadBytes: number): number {
    const at = this.#reserve(HEADER_BYTES + payloadBytes);
    this.#view.setUint16(at, HEADER_BYTES + payloadBytes, true);
    this.#view.setUint16(at + 2, type, true);
    return at + HEADER_BYTES;
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#header(type, value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** An attribute without payload, whose presence is its meaning. */
  flag(type: number): this {
    this.#header(type, 0);
    return this;
  }

  u8(type: number, value: number): this {
    const at = this.#header(type, 1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#header(type, 2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#header(type, 4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** In network order, as netfilter has all numbers. */
  be32(type: number, value: number): this {
    const at = this.#header(type, 4);
    this.#view.setUint32(at, value >>> 0, false);
    return this;
  }

  s32(type: number, value: number): this {
    return this.u32(type, value >>> 0);
  }

  u64(type: number, value: bigint): this {
    const at = this.#header(type, 8);
    this.#view.setBigUint64(at, value, true);
    return this;
  }

  /** Zero-terminated text. */
  text(type: number, value: string): this {
    return this.bytes(type, encoder.encode(`${value}\0`));
  }

  /** An attribute that contains what `fill` writes. `marked` sets the NESTED bit, which newer families demand. */
  nest(type: number, fill: (writer: this) => void, marked = true): this {
    const at = this.#header(marked ? type | NLA_F_NESTED : type, 0) - HEADER_BYTES;
    fill(this);
    this.#view.setUint16(at, this.#length - at, true);
    return this;
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/**
 * The attributes of one level, by type; the last of equal types counts. Accessors give `undefined` for an absent
 * attribute and for one too short for its type. Nothing is copied: what `bytes` gives is a view.
 *
 * Numbers are read byte by byte, because a view of a small array (DataView, subarray) makes V8 move the array out of
 * its heap, which takes longer than reading a whole endpoint.
 */
export class Attributes {
  readonly #bytes: Uint8Array;
  /** Type, begin and end of each value, one after the other; a level has few, so looking is quicker than a map. */
  readonly #places: number[] = [];
  /** The bytes ended within an attribute; what came before is there. */
  readonly truncated: boolean;

  /** Reads the attributes that stand in `bytes` between `from` and `to`. */
  constructor(bytes: Uint8Array, from: number, to: number) {
    this.#bytes = bytes;
    let at = from;
    while (at + HEADER_BYTES <= to) {
      const length = u16At(bytes, at);
      if (length < HEADER_BYTES || at + length > to) break;
      this.#places.push(u16At(bytes, at + 2) & NLA_TYPE_MASK, at + HEADER_BYTES, at + length);
      at += align4(length);
    }
    this.truncated = at < to;
  }

  /** Where in `#places` the place of the last value of `type` with at least `size` bytes begins; -1: nowhere. */
  #find(type: number, size: number): number {
    const places = this.#places;
    for (let i = places.length - 3; i >= 0; i -= 3) {
      if (places[i] === type) return places[i + 2]! - places[i + 1]! < size ? -1 : i;
    }
    return -1;
  }

  /** Where the last value of `type` begins if it has at least `size` bytes, else -1. */
  #valueAt(type: number, size: number): number {
    const place = this.#find(type, size);
    return place < 0 ? -1 : this.#places[place + 1]!;
  }

  has(type: number): boolean {
    return this.#find(type, 0) >= 0;
  }

  bytes(type: number): Uint8Array | undefined {
    const place = this.#find(type, 0);
    if (place < 0) return undefined;
    return this.#bytes.subarray(this.#places[place + 1], this.#places[place + 2]);
  }

  u8(type: number): number | undefined {
    const at = this.#valueAt(type, 1);
    return at < 0 ? undefined : this.#bytes[at];
  }

  u16(type: number): number | undefined {
    const at = this.#valueAt(type, 2);
    return at < 0 ? undefined : u16At(this.#bytes, at);
  }

  /** Network order, as MPTCP events carry ports. */
  be16(type: number): number | undefined {
    const at = this.#valueAt(type, 2);
    return at < 0 ? undefined : (this.#bytes[at]! << 8) | this.#bytes[at + 1]!;
  }

  u32(type: number): number | undefined {
    const at = this.#valueAt(type, 4);
    return at < 0 ? undefined : u32At(this.#bytes, at);
  }

  /** Network order, as netfilter has all numbers. */
  be32(type: number): number | undefined {
    const at = this.#valueAt(type, 4);
    if (at < 0) return undefined;
    const bytes = this.#bytes;
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }

  s32(type: number): number | undefined {
    const at = this.#valueAt(type, 4);
    return at < 0 ? undefined : u32At(this.#bytes, at) | 0;
  }

  u64(type: number): bigint | undefined {
    const at = this.#valueAt(type, 8);
    if (at < 0) return undefined;
    return BigInt(u32At(this.#bytes, at)) | (BigInt(u32At(this.#bytes, at + 4)) << 32n);
  }

  text(type: number): string | undefined {
    const value = this.bytes(type);
    if (value === undefined) return undefined;
    const end = value.indexOf(0);
    return decoder.decode(end < 0 ? value : value.subarray(0, end));
  }

  /** An IP address as canonical text; `undefined` also for a value of neither 4 nor 16 bytes. */
  ip(type: number): string | undefined {
    const value = this.bytes(type);
    return value?.length === 4 || value?.length === 16 ? formatIp(value) : undefined;
  }

  nested(type: number): Attributes | undefined {
    const place = this.#find(type, 0);
    if (place < 0) return undefined;
    return new Attributes(this.#bytes, this.#places[place + 1]!, this.#places[place + 2]!);
  }

  /** The members of an array attribute, whose types are only positions. */
  list(type: number): Uint8Array[] {
    const members = this.nested(type);
    if (members === undefined) return [];
    const views: Uint8Array[] = [];
    const places = members.#places;
    for (let i = 0; i < places.length; i += 3) {
      views.push(this.#bytes.subarray(places[i + 1], places[i + 2]));
    }
    return views;
  }
}

/** Reads the attributes that stand in `bytes` from `from` on (after a fixed structure). */
export function parseAttributes(bytes: Uint8Array, from = 0): Attributes {
  return new Attributes(bytes, from, bytes.length);
}

/**
 * Calls `visit` for each attribute with its type and where its value begins and ends, for messages that come by the
 * thousand. Of equal types the last counts, so that a later call has its way.
 */
export function visitAttributes(
  bytes: Uint8Array,
  from: number,
  visit: (type: number, at: number, end: number) => void,
): void {
  for (let at = from; at + HEADER_BYTES <= bytes.length;) {
    const length = u16At(bytes, at);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    visit(u16At(bytes, at + 2) & NLA_TYPE_MASK, at + HEADER_BYTES, at + length);
    at += align4(length);
  }
}

/**
 * One u32 attribute without reading the others, for answers that come by the thousand. Of equal types the last
 * counts, as everywhere.
 */
export function findU32(bytes: Uint8Array, from: number, wanted: number): number | undefined {
  let found: number | undefined;
  for (let at = from; at + HEADER_BYTES <= bytes.length;) {
    const length = u16At(bytes, at);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    if ((u16At(bytes, at + 2) & NLA_TYPE_MASK) === wanted && length >= HEADER_BYTES + 4) {
      found = u32At(bytes, at + HEADER_BYTES);
    }
    at += align4(length);
  }
  return found;
}
