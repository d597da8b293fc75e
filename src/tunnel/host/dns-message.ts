/**
 * The two DNS messages that are needed to learn an address (pure): a question for one A record, and its answer.
 *
 *   0  id be16 | 2 flags be16 (0x8000 answer, 0x0200 cut, 0x0100 recursion desired, low 4 bits result)
 *   4  questions be16 | 6 answers be16 | 8 authority be16 | 10 additional be16
 *   12 questions: name, type be16, class be16
 *      answers: name, type be16, class be16, TTL be32, length be16, data
 *   name: labels of 1 length byte and as many characters, ended by 0; or 0xC0 … 2 bytes, a place in the message
 *
 * References: RFC 1035 section 4.
 */
import { formatIp } from '../../base/index.ts';

const HEADER_BYTES = 12;
const RECURSION_DESIRED = 0x0100;
const IS_ANSWER = 0x8000;
const IS_CUT = 0x0200;
const RESULT_MASK = 0x000f;
const TYPE_A = 1;
const CLASS_IN = 1;
/** BOUNDED: answers looked through. */
const ANSWERS_MAX = 16;
/** A name takes at most this (RFC 1035 section 2.3.4). */
const NAME_BYTES_MAX = 255;

/** @param name labels joined by dots, of ASCII, each of 1 to 63 characters */
export function emitAddressQuestion(id: number, name: string): Uint8Array {
  const labels = name.split('.');
  const bytes = new Uint8Array(HEADER_BYTES + name.length + 2 + 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id, false);
  view.setUint16(2, RECURSION_DESIRED, false);
  view.setUint16(4, 1, false);
  let at = HEADER_BYTES;
  for (const label of labels) {
    bytes[at++] = label.length;
    for (let i = 0; i < label.length; i++) bytes[at++] = label.charCodeAt(i);
  }
  at++;
  view.setUint16(at, TYPE_A, false);
  view.setUint16(at + 2, CLASS_IN, false);
  return bytes;
}

/** Where a name ends; `undefined` when it leaves the message. Places it points to are not followed. */
function endOfName(bytes: Uint8Array, start: number): number | undefined {
  let at = start;
  while (at < bytes.length && at - start <= NAME_BYTES_MAX) {
    const length = bytes[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2 <= bytes.length ? at + 2 : undefined;
    if (length > 63) return undefined;
    at += length + 1;
  }
  return undefined;
}

/**
 * The address in the answer to that very question; `undefined` for everything else.
 * @param question as it was sent; its id and its question have to come back
 */
export function parseAddressAnswer(bytes: Uint8Array, question: Uint8Array): string | undefined {
  if (bytes.length < question.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getUint16(2, false);
  if ((flags & IS_ANSWER) === 0 || (flags & (IS_CUT | RESULT_MASK)) !== 0) return undefined;
  if (bytes[0] !== question[0] || bytes[1] !== question[1] || view.getUint16(4, false) !== 1)
    return undefined;
  for (let i = HEADER_BYTES; i < question.length; i++) if (bytes[i] !== question[i]) return undefined;
  const answers = Math.min(view.getUint16(6, false), ANSWERS_MAX);
  let at = question.length;
  for (let i = 0; i < answers; i++) {
    const end = endOfName(bytes, at);
    if (end === undefined || end + 10 > bytes.length) return undefined;
    const length = view.getUint16(end + 8, false);
    const data = end + 10;
    if (data + length > bytes.length) return undefined;
    const isAddress = view.getUint16(end, false) === TYPE_A && view.getUint16(end + 2, false) === CLASS_IN;
    if (isAddress && length === 4) return formatIp(bytes.subarray(data, data + 4));
    at = data + length;
  }
  return undefined;
}
