/**
 * What follows the 44 bytes of a keepalive between Weft peers. Pure. Network order.
 *
 *   offset  size  field (offsets of the datagram)
 *   44      1     0x57
 *   45      1     version, 1
 *   46      1     length of the extension from offset 44 on, with tag, without padding: 80 or 96
 *   47      1     flags: 0x01 tag, 0x02 echo, 0x04 short intervals, 0x08 probe, 0x10 counts
 *   48      6     session number of the sender, 1 … 2^48 - 1
 *   54      6     session number of the receiver as the sender knows it; 0: it does not
 *   60      4     number of this keepalive in the session, from 1 on, probes included
 *   64      4     sender's clock, µs modulo 2^32
 *   68      4     packets sent here before: data and keepalives without probes, modulo 2^32
 *   72      6     UDP payload of the data among them, bytes modulo 2^48
 *   78      4     with echo: number of the receiver's last keepalive that arrived
 *   82      4     with echo: µs since its arrival
 *   86      4     with counts: packets that had arrived before it: data and keepalives without probes, modulo 2^32
 *   90      6     with counts: UDP payload of the data among them, bytes modulo 2^48
 *   96      4     number of the receiver's last probe that arrived whole; 0: none
 *   100     2     ms, the next keepalive comes not later; 0: they do not come regularly
 *   102     1     number of the sender's word, 1 … 255, then 1 again; 0: nothing said yet
 *   103     1     the word: 0x00 up, 0x80 down
 *   104     1     number of the receiver's last word that arrived; 0: none
 *   105     1     0
 *   106     2     UDP port that the sender sees the receiver at
 *   108     16    address that the sender sees the receiver at, IPv4 mapped
 *   124     16    with tag: the first 16 bytes of HMAC-SHA-256 over the whole datagram, GRE header and padding
 *                 included, with these bytes 0. Key: HMAC-SHA-256 of "weft peer extension 1" under the connection's key
 *   …       n     padding, only in probes; 0, not looked at
 *
 * Fields that a later version adds follow the address; the length byte says where the tag ends, which is always last.
 * A receiver ignores an extension of another version.
 */
import { PathStatus } from '../control/path-status.ts';
import { equalBytes } from '../control/authentication.ts';
import type { PathWord } from '../paths/path-state.ts';
import { GRE_SEQUENCE_FLAG } from '../wire/data-header.ts';
import { KEEPALIVE_BYTES } from '../wire/keepalive.ts';
import { EXTENSION_VERSION } from './mark.ts';
import type { HmacSha256, PeerAddress } from './types.ts';

export const TAG_BYTES = 16;

const MAGIC = 0x57;
const FIELDS_BYTES = 80;
const KEY_LABEL = 'weft peer extension 1';
const U32 = 2 ** 32;

const FLAG_TAG = 0x01;
const FLAG_ECHO = 0x02;
const FLAG_SHORT = 0x04;
const FLAG_PROBE = 0x08;
const FLAG_COUNTS = 0x10;

const AT_VERSION = 45;
const AT_LENGTH = 46;
const AT_FLAGS = 47;
const AT_SENDER = 48;
const AT_RECEIVER = 54;
const AT_NUMBER = 60;
const AT_SENT_US = 64;
const AT_SENT_PACKETS = 68;
const AT_SENT_BYTES = 72;
const AT_ECHO_NUMBER = 78;
const AT_HELD_US = 82;
const AT_RECEIVED_PACKETS = 86;
const AT_RECEIVED_BYTES = 90;
const AT_PROBE = 96;
const AT_INTERVAL = 100;
const AT_WORD_NUMBER = 102;
const AT_WORD = 103;
const AT_HEARD_WORD = 104;
const AT_PORT = 106;
const AT_ADDRESS = 108;
const AT_TAG = KEEPALIVE_BYTES + FIELDS_BYTES;

/** The sender's session in a keepalive, 6 bytes, for who looks at nothing else. */
export const SENDER_SESSION_OFFSET = AT_SENDER;
export const SENDER_SESSION_END = AT_RECEIVER;

/** What has arrived from the receiver of the message. */
export interface Echo {
  /** Of the last keepalive. */
  readonly number: number;
  /** µs between its arrival and this sending. */
  readonly heldUs: number;
  /** Absent before the sender has taken the receiver's session: it counts from then on. */
  readonly counts?: EchoedCounts;
}

export interface EchoedCounts {
  /** Modulo 2^32. */
  readonly receivedPackets: number;
  /** Modulo 2^48. */
  readonly receivedBytes: number;
}

/** The fields of an extension; units and ranges as above. */
export interface Extension {
  readonly isProbe: boolean;
  /** The sender is ready for intervals shorter than the configured seconds. */
  readonly wantsShortIntervals: boolean;
  readonly senderSession: number;
  readonly receiverSession: number;
  readonly number: number;
  readonly sentUs: number;
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly echo?: Echo;
  readonly probeArrived: number;
  readonly intervalMs: number;
  readonly wordNumber: number;
  readonly word: PathWord;
  readonly heardWordNumber: number;
  readonly observed: PeerAddress;
}

/** Why bytes are no extension of this version. */
export type ExtensionDefect = 'none' | 'cut off' | 'other version' | 'contradictory';

/** Length of a keepalive with extension and without padding. */
export function extendedBytes(hasTag: boolean): number {
  return KEEPALIVE_BYTES + FIELDS_BYTES + (hasTag ? TAG_BYTES : 0);
}

/**
 * Writes the extension behind the keepalive at the start of `out` and returns the datagram's length. The tag is left
 * zero, for `sealExtension`.
 */
export function emitExtension(out: Uint8Array, extension: Extension, hasTag: boolean): number {
  const { echo, observed } = extension;
  const length = extendedBytes(hasTag);
  out.fill(0, KEEPALIVE_BYTES, length);
  out[KEEPALIVE_BYTES] = MAGIC;
  out[AT_VERSION] = EXTENSION_VERSION;
  out[AT_LENGTH] = length - KEEPALIVE_BYTES;
  out[AT_FLAGS] =
    (hasTag ? FLAG_TAG : 0) |
    (echo === undefined ? 0 : FLAG_ECHO) |
    (echo?.counts === undefined ? 0 : FLAG_COUNTS) |
    (extension.wantsShortIntervals ? FLAG_SHORT : 0) |
    (extension.isProbe ? FLAG_PROBE : 0);
  writeU48(out, AT_SENDER, extension.senderSession);
  writeU48(out, AT_RECEIVER, extension.receiverSession);
  writeU32(out, AT_NUMBER, extension.number);
  writeU32(out, AT_SENT_US, extension.sentUs);
  writeU32(out, AT_SENT_PACKETS, extension.sentPackets);
  writeU48(out, AT_SENT_BYTES, extension.sentBytes);
  if (echo !== undefined) {
    writeU32(out, AT_ECHO_NUMBER, echo.number);
    writeU32(out, AT_HELD_US, echo.heldUs);
  }
  if (echo?.counts !== undefined) {
    writeU32(out, AT_RECEIVED_PACKETS, echo.counts.receivedPackets);
    writeU48(out, AT_RECEIVED_BYTES, echo.counts.receivedBytes);
  }
  writeU32(out, AT_PROBE, extension.probeArrived);
  writeU16(out, AT_INTERVAL, extension.intervalMs);
  out[AT_WORD_NUMBER] = extension.wordNumber;
  out[AT_WORD] = extension.word;
  out[AT_HEARD_WORD] = extension.heardWordNumber;
  writeU16(out, AT_PORT, observed.port);
  out.set(observed.address, AT_ADDRESS);
  return length;
}

/** Reads a whole keepalive's extension, or says why there is none. The address is a part of `datagram`, not a copy. */
export function parseExtension(datagram: Uint8Array): Extension | ExtensionDefect {
  if (datagram.length <= KEEPALIVE_BYTES) return 'none';
  if ((datagram[0]! & GRE_SEQUENCE_FLAG) !== 0 || datagram[KEEPALIVE_BYTES] !== MAGIC) return 'none';
  if (datagram.length < KEEPALIVE_BYTES + FIELDS_BYTES) return 'cut off';
  if (datagram[AT_VERSION] !== EXTENSION_VERSION) return 'other version';
  const flags = datagram[AT_FLAGS]!;
  const length = datagram[AT_LENGTH]!;
  if (length < FIELDS_BYTES + (flags & FLAG_TAG ? TAG_BYTES : 0)) return 'contradictory';
  if (datagram.length < KEEPALIVE_BYTES + length) return 'cut off';
  const word = datagram[AT_WORD];
  const number = readU32(datagram, AT_NUMBER);
  const senderSession = readU48(datagram, AT_SENDER);
  if (number === 0 || senderSession === 0) return 'contradictory';
  if (word !== PathStatus.ok && word !== PathStatus.down) return 'contradictory';
  const fields = {
    isProbe: (flags & FLAG_PROBE) !== 0,
    wantsShortIntervals: (flags & FLAG_SHORT) !== 0,
    senderSession,
    receiverSession: readU48(datagram, AT_RECEIVER),
    number,
    sentUs: readU32(datagram, AT_SENT_US),
    sentPackets: readU32(datagram, AT_SENT_PACKETS),
    sentBytes: readU48(datagram, AT_SENT_BYTES),
    probeArrived: readU32(datagram, AT_PROBE),
    intervalMs: readU16(datagram, AT_INTERVAL),
    wordNumber: datagram[AT_WORD_NUMBER]!,
    word,
    heardWordNumber: datagram[AT_HEARD_WORD]!,
    observed: { address: datagram.subarray(AT_ADDRESS, AT_ADDRESS + 16), port: readU16(datagram, AT_PORT) },
  };
  if ((flags & FLAG_ECHO) === 0) return fields;
  const echo = {
    number: readU32(datagram, AT_ECHO_NUMBER),
    heldUs: readU32(datagram, AT_HELD_US),
  };
  if ((flags & FLAG_COUNTS) === 0) return { ...fields, echo };
  const counts = {
    receivedPackets: readU32(datagram, AT_RECEIVED_PACKETS),
    receivedBytes: readU48(datagram, AT_RECEIVED_BYTES),
  };
  return { ...fields, echo: { ...echo, counts } };
}

/** The key of tags, from the connection's key: the control messages use that one itself, in another construction. */
export function tagKeyOf(connectionKey: Uint8Array, hmac: HmacSha256): Uint8Array {
  return hmac(connectionKey, new TextEncoder().encode(KEY_LABEL));
}

/** Writes the tag of a whole datagram, padding included, that `emitExtension` made with room for one. */
export function sealExtension(datagram: Uint8Array, tagKey: Uint8Array, hmac: HmacSha256): void {
  datagram.set(hmac(tagKey, datagram).subarray(0, TAG_BYTES), AT_TAG);
}

/** Whether a datagram that `parseExtension` takes has the right tag. In a time that depends on the lengths only. */
export function isExtensionSealed(datagram: Uint8Array, tagKey: Uint8Array, hmac: HmacSha256): boolean {
  if ((datagram[AT_FLAGS]! & FLAG_TAG) === 0) return false;
  const at = KEEPALIVE_BYTES + datagram[AT_LENGTH]! - TAG_BYTES;
  const blank = datagram.slice();
  blank.fill(0, at, at + TAG_BYTES);
  const expected = hmac(tagKey, blank).subarray(0, TAG_BYTES);
  return equalBytes(datagram.subarray(at, at + TAG_BYTES), expected);
}

/** One line for people, also of a datagram that is cut off. Session numbers and tag are left out. */
export function formatExtension(datagram: Uint8Array): string {
  const extension = parseExtension(datagram);
  if (typeof extension === 'string') return `keepalive of ${datagram.length} bytes, extension: ${extension}`;
  const { echo, number, intervalMs, wordNumber, word } = extension;
  const said = wordNumber === 0 ? 'no word' : `word ${wordNumber} ${word === PathStatus.ok ? 'up' : 'down'}`;
  const kind = extension.isProbe ? 'probe' : 'keepalive';
  const heard = echo === undefined ? 'no echo' : `echo of ${echo.number} after ${echo.heldUs} us`;
  return `${kind} ${number} of ${datagram.length} bytes, ${heard}, next within ${intervalMs} ms, ${said}`;
}

function writeU16(out: Uint8Array, at: number, value: number): void {
  out[at] = (value >>> 8) & 0xff;
  out[at + 1] = value & 0xff;
}

function writeU32(out: Uint8Array, at: number, value: number): void {
  writeU16(out, at, value >>> 16);
  writeU16(out, at + 2, value);
}

function writeU48(out: Uint8Array, at: number, value: number): void {
  writeU16(out, at, Math.floor(value / U32));
  writeU32(out, at + 2, value % U32);
}

function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((readU16(bytes, at) << 16) | readU16(bytes, at + 2)) >>> 0;
}

function readU48(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at) * U32 + readU32(bytes, at + 2);
}
