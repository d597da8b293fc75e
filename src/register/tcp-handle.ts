/**
 * Node's TCP handle, the object below every net.Socket and net.Server that makes their sockets. It has no public
 * name; here it is taken from a socket that is about to connect and never does.
 *
 * Invariant: finding it opens no descriptor, looks up no name and leaves nothing running.
 */
import { Socket } from 'node:net';

/** Answers 0 or a negative errno, as libuv does. */
export type TcpMethod<Arguments extends unknown[] = unknown[]> = (
  this: TcpHandle,
  ...args: Arguments
) => number;

export interface TcpHandle {
  /** -1 until there is a socket: libuv makes it in bind or connect, when it knows the address family. */
  readonly fd: number;
  open: TcpMethod<[fd: number]>;
  bind: TcpMethod;
  bind6: TcpMethod;
  connect: TcpMethod;
  connect6: TcpMethod;
}

const METHODS = ['open', 'bind', 'bind6', 'connect', 'connect6'] as const;

function looksRight(prototype: object): prototype is TcpHandle {
  return METHODS.every((name) => {
    const property = Object.getOwnPropertyDescriptor(prototype, name);
    return property?.writable === true && typeof property.value === 'function';
  });
}

/** The prototype of every TCP handle of this thread, or `undefined` where Node is made otherwise. */
export function tcpHandlePrototype(): TcpHandle | undefined {
  const socket = new Socket();
  socket.on('error', () => {});
  // The handle is made at once, and the socket below it only when the name is found, which is never.
  socket.connect({ host: 'weft.invalid', port: 1, lookup: () => {} });
  const { _handle: handle } = socket as Socket & { _handle?: { fd?: unknown } | null };
  try {
    if (handle === null || handle === undefined || handle.fd !== -1) return undefined;
    const prototype = Object.getPrototypeOf(handle) as object;
    return looksRight(prototype) ? prototype : undefined;
  } finally {
    socket.destroy();
  }
}
