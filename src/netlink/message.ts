/**
 * Netlink messages (pure).
 *
 *   0  length   u32 host, header included
 *   4  type     u16
 *   6  flags    u16
 *   8  sequence u32
 *  12  port id  u32
 *  16  payload, padded to a multiple of 4
 *
 * References: netlink(7), <linux/netlink.h>.
 */
import { align4, parseAttributes, u16At, u32At } from './attributes.ts';

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** In an answer: the request was not echoed back; attributes follow the error code. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

export const HEADER_BYTES = 16;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly payload: Uint8Array;
}

/** One of several requests that are sent together. */
export interface NetlinkRequest {
  readonly type: number;
  /** NLM_F_REQUEST is added, and NLM_F_ACK where it is needed. */
  readonly flags: number;
  readonly payload: Uint8Array;
  /** What it does, for the message of an error. */
  readonly operation: string;
}

function emitHeader(
  view: DataView,
  at: number,
  length: number,
  type: number,
  flags: number,
  sequence: number,
): void {
  view.setUint32(at, length, true);
  view.setUint16(at + 4, type, true);
  view.setUint16(at + 6, flags, true);
  view.setUint32(at + 8, sequence, true);
}

export function emitMessage(type: number, flags: number, sequence: number, payload: Uint8Array): Uint8Array {
  return emitMessages(type, flags, sequence, [payload]);
}

/** Several messages of one type in one buffer, with sequence numbers from `firstSequence` on. */
export function emitMessages(
  type: number,
  flags: number,
  firstSequence: number,
  payloads: readonly Uint8Array[],
): Uint8Array {
  let total = 0;
  for (const payload of payloads) total += align4(HEADER_BYTES + payload.length);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  let sequence = firstSequence;
  for (const payload of payloads) {
    emitHeader(view, at, HEADER_BYTES + payload.length, type, flags, sequence);
    bytes.set(payload, at + HEADER_BYTES);
    at += align4(HEADER_BYTES + payload.length);
    sequence++;
  }
  return bytes;
}

/** All whole messages of one datagram; what is malformed ends the list. Payloads are views of `bytes`. */
export function parseMessages(bytes: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const length = u32At(bytes, at);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    messages.push({
      type: u16At(bytes, at + 4),
      flags: u16At(bytes, at + 6),
      sequence: u32At(bytes, at + 8),
      portId: u32At(bytes, at + 12),
      payload: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += align4(length);
  }
  return messages;
}

/** The verdict that NLMSG_ERROR and NLMSG_DONE carry. */
export interface Verdict {
  /** 0: success. */
  readonly errno: number;
  /** The kernel's own explanation (extended ACK). */
  readonly text?: string;
  /** Where in the request the offending attribute begins, in bytes from its header. */
  readonly offset?: number;
}

export function parseVerdict(message: NetlinkMessage): Verdict {
  const { payload, flags, type } = message;
  if (payload.length < 4) return { errno: 0 };
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const errno = Math.abs(view.getInt32(0, true));
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno };
  let at = 4;
  if (type === NLMSG_ERROR) {
    if (payload.length < 4 + HEADER_BYTES) return { errno };
    at += (flags & NLM_F_CAPPED) === 0 ? align4(view.getUint32(4, true)) : HEADER_BYTES;
  }
  const attributes = parseAttributes(payload, at);
  const text = attributes.text(NLMSGERR_ATTR_MSG);
  const offset = attributes.u32(NLMSGERR_ATTR_OFFS);
  return { errno, ...(text === undefined ? {} : { text }), ...(offset === undefined ? {} : { offset }) };
}
