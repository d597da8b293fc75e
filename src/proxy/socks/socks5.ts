/**
 * SOCKS5 on a stream (pure): greeting, user and password, request, and their answers.
 *
 *   greeting   0 version u8 = 5 | 1 count u8 | 2 methods, count bytes                           RFC 1928 section 3
 *   choice     0 version u8 = 5 | 1 method u8; 0xff: none will do
 *   user       0 version u8 = 1 | 1 length u8 | user | length u8 | password                     RFC 1929 section 2
 *   verdict    0 version u8 = 1 | 1 status u8; 0 is success, after all else the connection ends
 *   request    0 version u8 = 5 | 1 command u8 | 2 reserved = 0 | 3 address                     RFC 1928 section 4
 *   reply      0 version u8 = 5 | 1 reply u8   | 2 reserved = 0 | 3 address                     RFC 1928 section 6
 *   address    0 type u8 | 1 IPv4: 4 bytes, 3 name: length u8 and name, 4 IPv6: 16 bytes | port u16 big-endian
 *
 * Invariant: malformed input is returned as a reason, never thrown; a parser wants at most 516 bytes.
 */
import { familyOf, parseIp, AF_INET6, unmapV4 } from '../../base/index.ts';
import { hostOfAddress, hostOfName, malformed, message, MORE, type Parsed } from './parsed.ts';

export const SOCKS5_VERSION = 5;
const USER_VERSION = 1;

export const SOCKS5_METHODS = { none: 0x00, user: 0x02, unacceptable: 0xff } as const;

const ADDRESS_TYPES = { ipv4: 1, name: 3, ipv6: 4 } as const;

export const SOCKS5_REPLIES = {
  succeeded: 0,
  failed: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  ttlExpired: 6,
  commandNotSupported: 7,
  addressTypeNotSupported: 8,
} as const;
export type Socks5Reply = (typeof SOCKS5_REPLIES)[keyof typeof SOCKS5_REPLIES];

const COMMANDS = { 1: 'connect', 2: 'bind', 3: 'udp-associate' } as const;

export interface Socks5Destination {
  /** A name in lower case, or an address in canonical text. */
  readonly host: string;
  /** 0 occurs: a client that does not know yet where its datagrams come from. */
  readonly port: number;
}

export interface Socks5Request {
  /** `other` is a command that RFC 1928 does not know. */
  readonly command: 'connect' | 'bind' | 'udp-associate' | 'other';
  /** `undefined`: an address type that RFC 1928 does not know; where the message ends is not known then. */
  readonly destination: Socks5Destination | undefined;
}

export interface Credentials {
  readonly user: string;
  /** Secret. */
  readonly password: string;
}

/** The methods that the client offers. */
export function parseGreeting(bytes: Uint8Array): Parsed<readonly number[]> {
  if (bytes.length === 0) return MORE;
  if (bytes[0] !== SOCKS5_VERSION) return malformed(`version ${bytes[0]} in a SOCKS5 greeting`);
  const count = bytes[1];
  if (count === undefined) return MORE;
  if (count === 0) return malformed('a SOCKS5 greeting without methods');
  const length = 2 + count;
  return bytes.length < length ? MORE : message([...bytes.subarray(2, length)], length);
}

export function emitChoice(method: number): Buffer {
  return Buffer.from([SOCKS5_VERSION, method]);
}

export function parseCredentials(bytes: Uint8Array): Parsed<Credentials> {
  if (bytes.length === 0) return MORE;
  if (bytes[0] !== USER_VERSION) return malformed(`version ${bytes[0]} where user and password should be`);
  const userLength = bytes[1];
  if (userLength === undefined) return MORE;
  const passwordAt = 2 + userLength;
  const passwordLength = bytes[passwordAt];
  if (passwordLength === undefined) return MORE;
  const length = passwordAt + 1 + passwordLength;
  if (bytes.length < length) return MORE;
  return message({ user: text(bytes, 2, passwordAt), password: text(bytes, passwordAt + 1, length) }, length);
}

export function emitVerdict(accepted: boolean): Buffer {
  return Buffer.from([USER_VERSION, accepted ? 0 : 1]);
}

export function parseRequest(bytes: Uint8Array): Parsed<Socks5Request> {
  if (bytes.length === 0) return MORE;
  if (bytes[0] !== SOCKS5_VERSION) return malformed(`version ${bytes[0]} in a SOCKS5 request`);
  if (bytes.length < 4) return MORE;
  const command = COMMANDS[bytes[1] as keyof typeof COMMANDS] ?? 'other';
  // The reserved byte is not looked at: some clients leave noise there, and it decides nothing.
  const address = parseAddress(bytes, 3);
  if (address.kind === 'unknown-type') return message({ command, destination: undefined }, bytes.length);
  if (address.kind !== 'message') return address;
  return message({ command, destination: address.value }, address.length);
}

/** @param address what the client is told of our end; a reply that fails has 0.0.0.0 and port 0 */
export function emitReply(reply: Socks5Reply, address = '0.0.0.0', port = 0): Buffer {
  return Buffer.concat([Buffer.from([SOCKS5_VERSION, reply, 0]), emitAddress(address, port)]);
}

/**
 * Type, address and port, as requests, replies and datagrams have them.
 * @param at where the type stands; `length` of the answer counts from the begin of `bytes`
 */
export function parseAddress(
  bytes: Uint8Array,
  at: number,
): Parsed<Socks5Destination> | { readonly kind: 'unknown-type'; readonly type: number } {
  const type = bytes[at];
  if (type === undefined) return MORE;
  let hostAt = at + 1;
  let hostLength: number;
  switch (type) {
    case ADDRESS_TYPES.ipv4:
      hostLength = 4;
      break;
    case ADDRESS_TYPES.ipv6:
      hostLength = 16;
      break;
    case ADDRESS_TYPES.name: {
      const nameLength = bytes[hostAt];
      if (nameLength === undefined) return MORE;
      hostAt++;
      hostLength = nameLength;
      break;
    }
    default:
      return { kind: 'unknown-type', type };
  }
  const portAt = hostAt + hostLength;
  const [high, low] = [bytes[portAt], bytes[portAt + 1]];
  if (high === undefined || low === undefined) return MORE;
  const raw = bytes.subarray(hostAt, portAt);
  const host = type === ADDRESS_TYPES.name ? hostOfName(raw) : hostOfAddress(raw);
  if (host === undefined) return malformed('a destination that is neither a name nor an address');
  return message({ host, port: high * 256 + low }, portAt + 2);
}

/** @param host an address, or a name of at most 255 bytes */
export function emitAddress(host: string, port: number): Buffer {
  const plain = unmapV4(host);
  const ip = parseIp(plain);
  const tail = [port >> 8, port & 0xff];
  if (ip === undefined) {
    const name = Buffer.from(plain, 'latin1').subarray(0, 255);
    return Buffer.concat([Buffer.from([ADDRESS_TYPES.name, name.length]), name, Buffer.from(tail)]);
  }
  const type = familyOf(plain) === AF_INET6 ? ADDRESS_TYPES.ipv6 : ADDRESS_TYPES.ipv4;
  return Buffer.from([type, ...ip, ...tail]);
}

function text(bytes: Uint8Array, begin: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + begin, end - begin).toString('utf8');
}
