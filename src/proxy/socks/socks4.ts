/**
 * SOCKS4 and SOCKS4a on a stream (pure).
 *
 *   request   0 version u8 = 4 | 1 command u8 | 2 port u16 big-endian | 4 address 4 bytes | 8 user, ends with 0
 *             SOCKS4a: the address is 0.0.0.x with x not 0, and after the user comes the name, ends with 0
 *   reply     0 version u8 = 0 | 1 code u8 | 2 port u16 | 4 address 4 bytes; both are zeros for CONNECT here
 *
 * The user is what the client says of itself, without a proof: it is read and dropped.
 *
 * Invariant: a parser wants at most 519 bytes; more without an end is malformed.
 * References: openssh.com/txt/socks4.protocol, openssh.com/txt/socks4a.protocol (Ying-Da Lee).
 */
import { hostOfAddress, hostOfName, malformed, message, MORE, type Parsed } from './parsed.ts';

export const SOCKS4_VERSION = 4;

export const SOCKS4_REPLIES = { granted: 90, rejected: 91 } as const;
export type Socks4Reply = (typeof SOCKS4_REPLIES)[keyof typeof SOCKS4_REPLIES];

const AT_PORT = 2;
const AT_ADDRESS = 4;
const AT_USER = 8;
const COMMAND_CONNECT = 1;
/** BOUNDED: no longer user or name is read to its end. */
const MAX_TEXT_BYTES = 255;

export interface Socks4Request {
  /** BIND (2) is not served. */
  readonly command: 'connect' | 'other';
  /** A name in lower case, or an IPv4 address. */
  readonly host: string;
  readonly port: number;
}

export function parseSocks4(bytes: Uint8Array): Parsed<Socks4Request> {
  if (bytes.length === 0) return MORE;
  if (bytes[0] !== SOCKS4_VERSION) return malformed(`version ${bytes[0]} in a SOCKS4 request`);
  if (bytes.length <= AT_USER) return MORE;
  const command = bytes[1] === COMMAND_CONNECT ? 'connect' : 'other';
  const port = bytes[AT_PORT]! * 256 + bytes[AT_PORT + 1]!;
  const userEnd = zeroAt(bytes, AT_USER);
  if (userEnd === undefined) return tooLongOrMore(bytes, AT_USER, 'user');
  const address = bytes.subarray(AT_ADDRESS, AT_USER);
  const hasName = address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3] !== 0;
  if (!hasName) return message({ command, host: hostOfAddress(address), port }, userEnd + 1);
  const nameAt = userEnd + 1;
  const nameEnd = zeroAt(bytes, nameAt);
  if (nameEnd === undefined) return tooLongOrMore(bytes, nameAt, 'name');
  const host = hostOfName(bytes.subarray(nameAt, nameEnd));
  if (host === undefined) return malformed('a destination that is neither a name nor an address');
  return message({ command, host, port }, nameEnd + 1);
}

export function emitSocks4Reply(reply: Socks4Reply): Buffer {
  return Buffer.from([0, reply, 0, 0, 0, 0, 0, 0]);
}

/** Where the zero stands that ends the text which begins at `begin`. */
function zeroAt(bytes: Uint8Array, begin: number): number | undefined {
  const at = bytes.subarray(begin, begin + MAX_TEXT_BYTES + 1).indexOf(0);
  return at < 0 ? undefined : begin + at;
}

function tooLongOrMore(bytes: Uint8Array, begin: number, what: string): Parsed<never> {
  return bytes.length > begin + MAX_TEXT_BYTES
    ? malformed(`a ${what} of more than ${MAX_TEXT_BYTES} bytes in a SOCKS4 request`)
    : MORE;
}
