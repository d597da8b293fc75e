/**
 * Which protocol a client speaks, by its first byte, without taking it: 5 is SOCKS5, 4 is SOCKS4, all else is HTTP's
 * to judge. Most clients have sent it by the time their connection is accepted, so that most of the time nothing but
 * one system call stands between a connection and its protocol.
 *
 * Invariant: no byte is taken from the connection, and nothing is put back: Node's http parser reads it undisturbed.
 */
import type { Socket } from 'node:net';
import { libc, MSG_DONTWAIT, MSG_PEEK } from '../native/index.ts';

const byte = Buffer.alloc(1);

/** `undefined`: nothing has come yet, or the connection is at its end. */
function peek(socket: Socket): number | undefined {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) return undefined;
  return libc.recv(fd, byte, 1, MSG_PEEK | MSG_DONTWAIT) === 1 ? byte[0] : undefined;
}

/**
 * Calls `onByte` once, at once or when the first byte comes. A connection that ends without one is destroyed.
 * @param onTimeout nothing came in that time; `onByte` is not called any more
 */
export function whenFirstByte(
  socket: Socket,
  timeoutMs: number,
  onByte: (byte: number) => void,
  onTimeout: () => void,
): void {
  const peeked = peek(socket);
  if (peeked !== undefined) {
    onByte(peeked);
    return;
  }
  const stop = () => {
    clearTimeout(timer);
    socket.off('readable', onReadable);
    socket.off('end', onEnd);
    socket.off('close', stop);
    socket.off('error', onEnd);
  };
  const onEnd = () => {
    stop();
    socket.destroy();
  };
  const onReadable = () => {
    const chunk = socket.read() as Buffer | null;
    const first = chunk?.[0];
    if (chunk === null || first === undefined) return;
    stop();
    socket.unshift(chunk);
    onByte(first);
  };
  const timer = setTimeout(() => {
    stop();
    onTimeout();
  }, timeoutMs);
  socket.on('readable', onReadable);
  socket.once('end', onEnd);
  socket.once('close', stop);
  socket.once('error', onEnd);
}
