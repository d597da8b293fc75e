/**
 * A message between two command ports (UDP). Pure. Four of them make an exchange (initiator.ts, responder.ts).
 *
 *   offset   size  field
 *   0        1     command: 0xA2 path status change, 0xA3 connection create
 *   1        1     request: status value; answer: result code
 *   2        1     authentication type 0, 1, 2
 *   3        1     sh, length of the authentication field: 0, 4 or 36
 *   4        sh    type 1: token, u32 little-endian; type 2: token and SHA-256 (authentication.ts)
 *   4 + sh   1     round, 1 to 4
 *   5 + sh   1     IP version of the connection, 4 or 6
 *   6 + sh   1     0; 0x57 from a Weft initiator, 0x77 in a Weft responder's answer to that
 *   7 + sh   1     0; after 0x57 or 0x77 the exchange's number
 *   8 + sh   16    initiator's ip_local, IPv4 as ::ffff:a.b.c.d; the same in answers
 *   24 + sh  16    initiator's ip_remote
 *   40 + sh  4     rounds 1 and 2: length of round 3's body, u32 little-endian
 *   40 + sh  n     other rounds: body
 *
 * The original echoes offsets 6 + sh and 7 + sh unchanged and looks at neither; that is how a Weft initiator knows
 * whom it talks to. The hash covers them.
 */
import type { IpVersion } from '../wire/data-header.ts';

/** First bytes of the original's messages. Keepalives belong to the data ports (../wire/keepalive.ts). */
export const ControlCommand = {
  keepalive: 0xa1,
  pathStatus: 0xa2,
  create: 0xa3,
  local: 0xa4,
  localEnd: 0xa5,
} as const;

/** Commands that take an exchange. */
export type ExchangeCommand = typeof ControlCommand.pathStatus | typeof ControlCommand.create;

/** 0: none. 1: token. 2: token and SHA-256 with a shared key. */
export type AuthType = 0 | 1 | 2;

/** What an answer says in byte 1. */
export const ControlResult = { ok: 0, unknown: 4, exists: 5 } as const;

export const WEFT_INITIATOR_MARK = 0x57;
export const WEFT_RESPONDER_MARK = 0x77;

/** Longest UDP payload over IPv4. */
export const MAX_CONTROL_BYTES = 65_507;

/** Bytes before the authentication field, and where a field begins that follows it. */
const AT_AUTH = 4;
const AT_HASH = 8;
const HASH_BYTES = 32;
const AUTH_BYTES = [0, 4, 36] as const;
const HEADER_BYTES = 40;
const LENGTH_BYTES = 4;

export interface ControlMessage {
  readonly command: ExchangeCommand;
  /** Request: status. Answer: result code. */
  readonly status: number;
  readonly authType: AuthType;
  /** 0..2^32-1; 0 with type 0. */
  readonly token: number;
  /** 0..255; 1 to 4 are valid. */
  readonly round: number;
  readonly ipVersion: IpVersion;
  readonly mark: number;
  readonly exchangeNumber: number;
  /** 16 bytes each; IPv4 is mapped. */
  readonly ipLocal: Uint8Array;
  readonly ipRemote: Uint8Array;
  /** Rounds 1 and 2: announced length of round 3's body. Other rounds: length of `body`. */
  readonly bodyBytes: number;
  /** Empty in rounds 1 and 2. */
  readonly body: Uint8Array;
}

/** Why bytes are no control message. */
export type ControlDefect =
  | 'too short'
  | 'no such command'
  | 'no such authentication type'
  | 'wrong length of the authentication field'
  | 'no such IP version';

const announces = (round: number) => round === 1 || round === 2;

/** Length of everything before the body or its announced length. */
export function controlHeaderBytes(authType: AuthType): number {
  return HEADER_BYTES + AUTH_BYTES[authType];
}

/** Length that the message has on the wire. */
export function controlMessageBytes(message: ControlMessage): number {
  const tail = announces(message.round) ? LENGTH_BYTES : message.body.length;
  return controlHeaderBytes(message.authType) + tail;
}

/**
 * The message as bytes. The hash of type 2 is left zero, for `sealMessage`.
 * What follows an announced length is not part of a message and is not written.
 */
export function emitControlMessage(message: ControlMessage): Uint8Array {
  const out = new Uint8Array(controlMessageBytes(message));
  const authBytes = AUTH_BYTES[message.authType];
  out[0] = message.command;
  out[1] = message.status;
  out[2] = message.authType;
  out[3] = authBytes;
  if (authBytes > 0) writeU32(out, AT_AUTH, message.token);
  const at = AT_AUTH + authBytes;
  out[at] = message.round;
  out[at + 1] = message.ipVersion;
  out[at + 2] = message.mark;
  out[at + 3] = message.exchangeNumber;
  out.set(message.ipLocal, at + 4);
  out.set(message.ipRemote, at + 20);
  if (announces(message.round)) writeU32(out, at + 36, message.bodyBytes);
  else out.set(message.body, at + 36);
  return out;
}

/** Reads a message, or says why it is none. Parts of `bytes` are returned, not copies. Judges no hash and no round. */
export function parseControlMessage(bytes: Uint8Array): ControlMessage | ControlDefect {
  if (bytes.length < HEADER_BYTES) return 'too short';
  const command = bytes[0];
  if (command !== ControlCommand.pathStatus && command !== ControlCommand.create) return 'no such command';
  const authType = bytes[2];
  if (authType !== 0 && authType !== 1 && authType !== 2) return 'no such authentication type';
  const authBytes = AUTH_BYTES[authType];
  if (bytes[3] !== authBytes) return 'wrong length of the authentication field';
  const at = AT_AUTH + authBytes;
  const round = bytes[at]!;
  if (bytes.length < HEADER_BYTES + authBytes + (announces(round) ? LENGTH_BYTES : 0)) return 'too short';
  const ipVersion = bytes[at + 1];
  if (ipVersion !== 4 && ipVersion !== 6) return 'no such IP version';
  const body = announces(round) ? bytes.subarray(0, 0) : bytes.subarray(at + 36);
  return {
    command,
    status: bytes[1]!,
    authType,
    token: authBytes > 0 ? readU32(bytes, AT_AUTH) : 0,
    round,
    ipVersion,
    mark: bytes[at + 2]!,
    exchangeNumber: bytes[at + 3]!,
    ipLocal: bytes.subarray(at + 4, at + 20),
    ipRemote: bytes.subarray(at + 20, at + 36),
    bodyBytes: announces(round) ? readU32(bytes, at + 36) : body.length,
    body,
  };
}

/** The part of a type 2 message that holds its hash. */
export function hashOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(AT_HASH, AT_HASH + HASH_BYTES);
}

/** One line for people, also of a message that is cut off. No token and no hash: they are secrets for a moment. */
export function formatControlMessage(bytes: Uint8Array): string {
  const message = parseControlMessage(bytes);
  if (typeof message === 'string') return `control message of ${bytes.length} bytes: ${message}`;
  const name = message.command === ControlCommand.pathStatus ? 'path status' : 'create';
  const meaning = message.round % 2 === 0 ? 'result' : 'status';
  return `${name} round ${message.round}, authentication ${message.authType}, ${meaning} ${message.status}, body ${message.bodyBytes} bytes`;
}

function writeU32(out: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) out[at + i] = (value >>> (8 * i)) & 0xff;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
