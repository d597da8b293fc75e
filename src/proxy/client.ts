/**
 * Who is at the other end of a client connection.
 */
import type { Socket } from 'node:net';
import { canonicalIp, formatSocketAddress, isIpv6, isLoopback, unmapV4 } from '../base/index.ts';
import type { ClientIdentity } from './policy/types.ts';

export interface Client extends ClientIdentity {
  /** `address:port` */
  readonly text: string;
}

export function clientOf(socket: Socket): Client {
  // Node forgets the address when the connection is gone; such a client counts as remote, which may do less.
  const told = unmapV4(socket.remoteAddress ?? '0.0.0.0');
  // What Node says of IPv4 is canonical.
  const address = isIpv6(told) ? (canonicalIp(told) ?? told) : told;
  return {
    address,
    text: formatSocketAddress(address, socket.remotePort ?? 0),
    remote: isIpv6(address) ? !isLoopback(address) : !address.startsWith('127.'),
  };
}
