/**
 * sockaddr_in, sockaddr_in6 and sockaddr_nl as bytes (pure).
 *
 *   sockaddr_in  (16)  0 family u16 host | 2 port be16 | 4 address 4
 *   sockaddr_in6 (28)  0 family u16 host | 2 port be16 | 4 flowinfo be32 | 8 address 16 | 24 scope id u32 host
 *   sockaddr_nl  (12)  0 family u16 host | 4 port id u32 host | 8 groups u32 host
 *
 * References: <linux/in.h>, <linux/in6.h>, <linux/netlink.h>. Host order is little-endian on x64 and arm64.
 */
import { AF_INET, AF_INET6, formatIp, parseIp } from '../base/ip.ts';
import { WeftError } from '../base/errors.ts';
import { AF_NETLINK } from './constants.ts';

export const SOCKADDR_STORAGE_BYTES = 128;

/** An address and port; `scopeId` is the link index that IPv6 link-local addresses need. */
export interface SocketAddress {
  readonly address: string;
  readonly port: number;
  readonly scopeId?: number;
}

export function emitSockaddr(socketAddress: SocketAddress): Uint8Array {
  const ip = parseIp(socketAddress.address);
  if (ip === undefined) {
    throw new WeftError(`"${socketAddress.address}" is not an IP address`, { code: 'BAD_ADDRESS' });
  }
  const v6 = ip.length === 16;
  const bytes = new Uint8Array(v6 ? 28 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, v6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, socketAddress.port, false);
  bytes.set(ip, v6 ? 8 : 4);
  if (v6) view.setUint32(24, socketAddress.scopeId ?? 0, true);
  return bytes;
}

/** `undefined` when the family is neither IPv4 nor IPv6. */
export function parseSockaddr(bytes: Uint8Array): SocketAddress | undefined {
  if (bytes.length < 16) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  const port = view.getUint16(2, false);
  if (family === AF_INET) return { address: formatIp(bytes.subarray(4, 8)), port };
  if (family !== AF_INET6 || bytes.length < 28) return undefined;
  const scopeId = view.getUint32(24, true);
  const address = formatIp(bytes.subarray(8, 24));
  return scopeId === 0 ? { address, port } : { address, port, scopeId };
}

export function emitSockaddrNetlink(portId: number, groups: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(4, portId, true);
  view.setUint32(8, groups, true);
  return bytes;
}
