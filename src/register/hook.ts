/**
 * Gives Node's TCP handles MPTCP sockets: where libuv would make a TCP socket (in bind and connect, once the address
 * family is known), the handle is given one that Weft has opened, and goes on as ever. So all of net, tls, http,
 * http2 and fetch, name look-up, racing of address families, timeouts, aborts and error texts stay Node's own.
 *
 * Invariant: a handle never has less than without Weft. Whatever fails here is left to libuv, which makes a TCP socket
 * or fails with its own error. Handles that have a socket already (`{ fd }`, accepted, received) are not touched.
 *
 * References: docs/run.md; docs/architecture.md, decision 3.
 */
import { AF_INET, AF_INET6, type Family } from '../base/index.ts';
import type { StreamSocket } from '../mptcp/index.ts';
import type { TcpHandle, TcpMethod } from './tcp-handle.ts';

/** What the hook needs of the kernel. */
export interface SocketMaker {
  /** A non-blocking stream socket, MPTCP or with the reason why not. Throws when there is none to be had. */
  readonly open: (family: Family) => StreamSocket;
  readonly close: (fd: number) => void;
}

export interface HookReports {
  /** Each socket that a handle was given. */
  readonly opened?: (socket: StreamSocket, family: Family) => void;
  /** Once: sockets are TCP, and why. */
  readonly fellBack: (reason: string) => void;
  /** Asked with what `open` has thrown: `true` when it would throw at every attempt, which then ends the attempts. */
  readonly isFinal: (error: unknown) => boolean;
}

const HOOKED = Symbol.for('weft.register');

/**
 * Changes the prototype of this thread's TCP handles.
 * @returns `false`, without doing anything, when that has been done before
 */
export function hookTcpHandles(prototype: TcpHandle, sockets: SocketMaker, reports: HookReports): boolean {
  if (HOOKED in prototype) return false;
  Object.defineProperty(prototype, HOOKED, { value: true });
  const { bind, bind6, connect, connect6, open } = prototype;
  let gaveUp = false;
  let told = false;

  const tell = (reason: string): void => {
    if (told) return;
    told = true;
    reports.fellBack(reason);
  };

  const giveSocket = (handle: TcpHandle, family: Family): void => {
    if (gaveUp || handle.fd !== -1) return;
    try {
      const socket = sockets.open(family);
      if (open.call(handle, socket.fd) !== 0) {
        sockets.close(socket.fd);
        return;
      }
      if (socket.fallbackReason !== undefined) tell(socket.fallbackReason);
      reports.opened?.(socket, family);
    } catch (error) {
      gaveUp = reports.isFinal(error);
      if (gaveUp) tell((error as Error).message);
    }
  };

  const before = (family: Family, original: TcpMethod): TcpMethod =>
    function (...args) {
      giveSocket(this, family);
      return original.apply(this, args);
    };

  prototype.bind = before(AF_INET, bind);
  prototype.bind6 = before(AF_INET6, bind6);
  prototype.connect = before(AF_INET, connect);
  prototype.connect6 = before(AF_INET6, connect6);
  return true;
}
