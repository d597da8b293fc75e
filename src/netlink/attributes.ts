/**
 * Netlink attributes (pure): type-length-value records, 4-byte aligned, nested by containing more of them.
 *
 *   0  length u16 host, header included, padding not
 *   2  type   u16 host; 0x8000 nested, 0x4000 payload in network order
 *   4  payload, padded with zeros to a multiple of 4
 *
 * References: <linux/netlink.h>, Documentation/userspace-api/netlink/intro.rst.
 */

const HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const align4 = (length: number) => (length + 3) & ~3;

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
 * attribute and for one too short for its type.
 */
export class Attributes {
  readonly #values: ReadonlyMap<number, Uint8Array>;
  /** The bytes ended within an attribute; what came before is there. */
  readonly truncated: boolean;

  constructor(values: ReadonlyMap<number, Uint8Array>, truncated: boolean) {
    this.#values = values;
    this.truncated = truncated;
  }

  has(type: number): boolean {
    return this.#values.has(type);
  }

  bytes(type: number): Uint8Array | undefined {
    return this.#values.get(type);
  }

  #view(type: number, size: number): DataView | undefined {
    const value = this.#values.get(type);
    if (value === undefined || value.length < size) return undefined;
    return new DataView(value.buffer, value.byteOffset, value.length);
  }

  u8(type: number): number | undefined {
    return this.#view(type, 1)?.getUint8(0);
  }

  u16(type: number): number | undefined {
    return this.#view(type, 2)?.getUint16(0, true);
  }

  /** Network order, as MPTCP events carry ports. */
  be16(type: number): number | undefined {
    return this.#view(type, 2)?.getUint16(0, false);
  }

  u32(type: number): number | undefined {
    return this.#view(type, 4)?.getUint32(0, true);
  }

  s32(type: number): number | undefined {
    return this.#view(type, 4)?.getInt32(0, true);
  }

  u64(type: number): bigint | undefined {
    return this.#view(type, 8)?.getBigUint64(0, true);
  }

  text(type: number): string | undefined {
    const value = this.#values.get(type);
    if (value === undefined) return undefined;
    const end = value.indexOf(0);
    return decoder.decode(end < 0 ? value : value.subarray(0, end));
  }

  nested(type: number): Attributes | undefined {
    const value = this.#values.get(type);
    return value === undefined ? undefined : parseAttributes(value);
  }

  /** The members of an array attribute, whose types are only positions. */
  list(type: number): Uint8Array[] {
    const value = this.#values.get(type);
    if (value === undefined) return [];
    const members: Uint8Array[] = [];
    walk(value, 0, (_type, member) => members.push(member));
    return members;
  }
}

/** Calls `visit` for each whole attribute; `false` when the bytes end within one. */
function walk(bytes: Uint8Array, from: number, visit: (type: number, value: Uint8Array) => void): boolean {
  let at = from;
  while (at + HEADER_BYTES <= bytes.length) {
    const length = bytes[at]! | (bytes[at + 1]! << 8);
    const type = (bytes[at + 2]! | (bytes[at + 3]! << 8)) & NLA_TYPE_MASK;
    if (length < HEADER_BYTES || at + length > bytes.length) return false;
    visit(type, bytes.subarray(at + HEADER_BYTES, at + length));
    at += align4(length);
  }
  return at >= bytes.length;
}

/** Reads the attributes that stand in `bytes` from `from` on (after a fixed structure). */
export function parseAttributes(bytes: Uint8Array, from = 0): Attributes {
  const values = new Map<number, Uint8Array>();
  const whole = walk(bytes, from, (type, value) => values.set(type, value));
  return new Attributes(values, !whole);
}
