/**
 * The header of datagrams between a SOCKS5 client and the proxy (pure; RFC 1928 section 7).
 *
 *   0 reserved u16 = 0 | 2 fragment u8; 0: whole | 3 address, see socks5.ts | data
 *
 * Invariant: malformed datagrams are returned as a reason; fragments are not put together, as the RFC allows.
 */
import { emitAddress, parseAddress, type Socks5Destination } from './socks5.ts';

const AT_FRAGMENT = 2;
const AT_TYPE = 3;

export interface SocksDatagram {
  readonly destination: Socks5Destination;
  /** A view of what was parsed. */
  readonly payload: Uint8Array;
}

export type DatagramProblem = 'truncated' | 'fragment' | 'address';

export function parseDatagram(bytes: Uint8Array): SocksDatagram | { readonly problem: DatagramProblem } {
  if (bytes.length <= AT_TYPE) return { problem: 'truncated' };
  if (bytes[AT_FRAGMENT] !== 0) return { problem: 'fragment' };
  const address = parseAddress(bytes, AT_TYPE);
  if (address.kind === 'more') return { problem: 'truncated' };
  if (address.kind !== 'message' || address.value.port === 0) return { problem: 'address' };
  return { destination: address.value, payload: bytes.subarray(address.length) };
}

/** @param host the address that the payload came from, or the name that was asked when only that is known */
export function emitDatagram(host: string, port: number, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0, 0, 0]), emitAddress(host, port), payload]);
}
