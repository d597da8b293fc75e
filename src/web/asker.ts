/**
 * Whose process it is that asks. Browsers send a cookie to every port of a host, so a server of another user of this
 * machine, on another port, is given the cookies of sessions too; what it cannot have is that user's own sockets.
 *
 * Reference: sock_diag(7) (the user of the socket at the other end of a connection within this host).
 */
import type { Socket } from 'node:net';
import { unmapV4 } from '../base/index.ts';
import { SocketDiag } from '../netlink/index.ts';

/** Who asks from another host, or cannot be told. */
export const ELSEWHERE = 'elsewhere';

function lookUp({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  if (localAddress === undefined || localPort === undefined) return ELSEWHERE;
  if (remoteAddress === undefined || remotePort === undefined) return ELSEWHERE;
  try {
    const diag = SocketDiag.open();
    try {
      // The other end's socket: what is remote here is local there.
      const socket = diag.tcpSocket({
        localAddress: unmapV4(remoteAddress),
        localPort: remotePort,
        remoteAddress: unmapV4(localAddress),
        remotePort: localPort,
      });
      return socket === undefined ? ELSEWHERE : `user ${socket.uid}`;
    } finally {
      diag.close();
    }
  } catch {
    // A kernel without socket diagnostics tells it of nobody, so everybody is the same.
    return ELSEWHERE;
  }
}

export class Askers {
  /** BOUNDED: by the connections that are open. */
  readonly #known = new WeakMap<Socket, string>();

  /** The same for the same user of this machine, and for all who are not on it. */
  of(socket: Socket): string {
    let asker = this.#known.get(socket);
    if (asker === undefined) this.#known.set(socket, (asker = lookUp(socket)));
    return asker;
  }
}
