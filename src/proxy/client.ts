/**
 * Who is at the other end of a client connection.
 */
import type { Socket } from 'node:net';
import { formatSocketAddress, isLoopback, unmapV4 } from '../base/index.ts';

export interface Client {
  /** `address:port` */
  readonly text: string;
  /** Not of this host. */
  readonly remote: boolean;
}

export function clientOf(socket: Socket): Client {
  // Node forgets the address when the connection is gone; such a client counts as remote, which may do less.
  const address = unmapV4(socket.remoteAddress ?? '0.0.0.0');
  return { text: formatSocketAddress(address, socket.remotePort ?? 0), remote: !isLoopback(address) };
}
