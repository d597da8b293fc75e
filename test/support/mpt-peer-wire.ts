/**
 * Bytes of the stand-in for the original program (pure): data packets, keepalives, control messages, local commands.
 * Written from the description of the format alone and shares nothing with src/tunnel.
 */
import { createHash } from 'node:crypto';
import { parseIp } from '../../src/base/index.ts';

/** 16 bytes; IPv4 mapped. */
export function sixteen(address: string): Buffer {
  return Buffer.from(parseIp(address.includes(':') ? address : `::ffff:${address}`)!);
}

const ETHER_TYPE = { 4: 0x0800, 6: 0x86dd } as const;

export function dataPacket(ipVersion: 4 | 6, sequence: number | undefined, inner: Uint8Array): Buffer {
  const header = Buffer.alloc(sequence === undefined ? 4 : 8);
  header.writeUInt16BE(ETHER_TYPE[ipVersion], 2);
  if (sequence !== undefined) {
    header[0] = 0x10;
    header.writeUInt32BE(sequence, 4);
  }
  return Buffer.concat([header, inner]);
}

export function keepaliveMessage(ipVersion: 4 | 6, ipLocal: string, ipRemote: string): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(ETHER_TYPE[ipVersion], 2);
  head[4] = 0xa1;
  head[9] = ipVersion;
  return Buffer.concat([head, sixteen(ipLocal), sixteen(ipRemote)]);
}

export type OriginalArrival =
  | { readonly kind: 'data'; readonly sequence: number | undefined; readonly inner: Buffer }
  | { readonly kind: 'keepalive' | 'command' | 'short' };

/** What the program makes of a datagram of its data port. */
export function readDataPort(datagram: Buffer): OriginalArrival {
  if (datagram.length < 8) return { kind: 'short' };
  const hasSequence = (datagram[0]! & 0x10) !== 0;
  const inner = datagram.subarray(hasSequence ? 8 : 4);
  const first = inner[0] ?? 0;
  if (first === 0xa1) return { kind: 'keepalive' };
  if (first >= 0xa0) return { kind: 'command' };
  return { kind: 'data', sequence: hasSequence ? datagram.readUInt32BE(4) : undefined, inner };
}

const AUTH_BYTES = [0, 4, 36] as const;

export interface OriginalMessage {
  readonly command: number;
  readonly status: number;
  readonly authType: number;
  readonly token: number;
  readonly round: number;
  readonly ipVersion: number;
  /** Offsets 6 and 7 after the authentication field: 0 from the program itself, returned as they came. */
  readonly unused: Buffer;
  readonly ipLocal: Buffer;
  readonly ipRemote: Buffer;
  readonly rest: Buffer;
}

export function controlMessage(message: OriginalMessage, key: Uint8Array): Buffer {
  const authBytes = AUTH_BYTES[message.authType] ?? 0;
  const head = Buffer.alloc(8 + authBytes);
  head[0] = message.command;
  head[1] = message.status;
  head[2] = message.authType;
  head[3] = authBytes;
  if (authBytes > 0) head.writeUInt32LE(message.token, 4);
  head[4 + authBytes] = message.round;
  head[5 + authBytes] = message.ipVersion;
  message.unused.copy(head, 6 + authBytes);
  const bytes = Buffer.concat([head, message.ipLocal, message.ipRemote, message.rest]);
  if (message.authType === 2) hashOf(bytes, key).copy(bytes, 8);
  return bytes;
}

/** SHA-256 of the message with the field zero, and the key behind. */
function hashOf(bytes: Buffer, key: Uint8Array): Buffer {
  const input = Buffer.from(bytes);
  input.fill(0, 8, 40);
  return createHash('sha256').update(input).update(key).digest();
}

export function isHashRight(bytes: Buffer, key: Uint8Array): boolean {
  return bytes.length >= 40 && hashOf(bytes, key).equals(bytes.subarray(8, 40));
}

export function readControlMessage(bytes: Buffer): OriginalMessage | undefined {
  const authBytes = bytes[3] ?? 0;
  if (bytes.length < 40 + authBytes) return undefined;
  return {
    command: bytes[0]!,
    status: bytes[1]!,
    authType: bytes[2]!,
    token: authBytes === 0 ? 0 : bytes.readUInt32LE(4),
    round: bytes[4 + authBytes]!,
    ipVersion: bytes[5 + authBytes]!,
    unused: bytes.subarray(6 + authBytes, 8 + authBytes),
    ipLocal: bytes.subarray(8 + authBytes, 24 + authBytes),
    ipRemote: bytes.subarray(24 + authBytes, 40 + authBytes),
    rest: bytes.subarray(40 + authBytes),
  };
}

export function lengthField(bytes: number): Buffer {
  const field = Buffer.alloc(4);
  field.writeUInt32LE(bytes);
  return field;
}

/** The order in which packets take the paths. */
export function sendingVector(weights: readonly number[]): number[] {
  const increments = weights.map((weight) => weights.reduce((product, other) => product * other, 1) / weight);
  const sums = weights.map(() => 0);
  const vector: number[] = [];
  do {
    let best = 0;
    for (let path = 1; path < sums.length; path++) {
      if (sums[path]! + increments[path]! < sums[best]! + increments[best]!) best = path;
    }
    sums[best]! += increments[best]!;
    vector.push(best);
  } while (sums.some((sum) => sum !== sums[0]));
  return vector;
}
