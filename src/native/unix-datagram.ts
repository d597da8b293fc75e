/**
 * A datagram socket of the unix family, for sending only: to the system's log, to the journal, to the service manager.
 * Node has none. It stays unconnected, so that the receiver may be started again meanwhile.
 *
 *   sockaddr_un  0 family u16 host | 2 path, up to 108 bytes; a first byte of zero is the abstract namespace
 *
 * Invariant: sending never blocks; what cannot be sent is the caller's to count. References: unix(7), <linux/un.h>.
 */
import { WeftError } from '../base/errors.ts';
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_DGRAM } from './constants.ts';
import { EINTR } from './errno.ts';
import { lastErrno, libc } from './libc.ts';
import { closeFd, openSocket } from './socket.ts';

const FAMILY_BYTES = 2;
const PATH_MAX_BYTES = 108;

/**
 * @param name an absolute path, or `@NAME` in the abstract namespace, as service managers write it
 * @throws WeftError `SOCKET_PATH` when it is neither, or too long
 */
export function emitSockaddrUnix(name: string): Uint8Array {
  const abstract = name.startsWith('@');
  const path = Buffer.from(name);
  // A path ends with a zero, which the kernel adds where there is room; an abstract name is as long as the address.
  if ((!abstract && !name.startsWith('/')) || path.length > PATH_MAX_BYTES || name.includes('\0')) {
    throw new WeftError(`"${name}" is not the name of a unix socket`, {
      code: 'SOCKET_PATH',
      hint: `it is an absolute path or "@NAME", of at most ${PATH_MAX_BYTES} bytes`,
    });
  }
  if (abstract) path[0] = 0;
  const bytes = new Uint8Array(FAMILY_BYTES + path.length);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(path, FAMILY_BYTES);
  return bytes;
}

export class UnixDatagram {
  readonly #sockaddr: Uint8Array;
  #fd: number;

  /** @throws WeftError `SOCKET_PATH`; SystemError EMFILE, EAFNOSUPPORT */
  constructor(name: string) {
    this.#sockaddr = emitSockaddrUnix(name);
    this.#fd = openSocket(AF_UNIX, SOCK_DGRAM, 0);
  }

  /**
   * Sends one datagram.
   * @returns 0, or why it was not sent: ENOENT and ECONNREFUSED (nobody there), EAGAIN (the receiver is slow),
   *   EMSGSIZE (too large), EACCES …
   */
  send(bytes: Uint8Array): number {
    for (;;) {
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      const { length } = this.#sockaddr;
      if (libc.sendto(this.#fd, bytes, bytes.length, flags, this.#sockaddr, length) >= 0) return 0;
      const errno = lastErrno();
      if (errno !== EINTR) return errno;
    }
  }

  /** Harmless when done before. */
  close(): void {
    if (this.#fd < 0) return;
    closeFd(this.#fd);
    this.#fd = -1;
  }
}
