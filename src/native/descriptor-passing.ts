/**
 * Gives an open descriptor to another process through a connected unix socket (SCM_RIGHTS), and makes the pair of
 * such sockets of which a child inherits one. Node can do neither with descriptors that it does not know.
 *
 *   cmsghdr   0 length u64, header included | 8 level i32 | 12 type i32 | 16 descriptor i32, padded to 8
 *
 * Invariant: the sender's own descriptor stays open and stays its own.
 * References: unix(7), cmsg(3), socketpair(2).
 */
import { AF_UNIX, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET } from './constants.ts';
import { check, EAGAIN, EINTR, SystemError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';
import { OwnedBuffer } from './owned-buffer.ts';

const SCM_RIGHTS = 1;
const MSGHDR_BYTES = 56;
const CMSG_BYTES = 24;
const CMSG_LENGTH = 20;

/**
 * Two connected stream sockets, close-on-exec. The caller closes both.
 * @throws SystemError EMFILE, ENFILE
 */
export function openSocketPair(): [number, number] {
  const pair = new Uint8Array(8);
  check(libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 'socketpair');
  const view = new DataView(pair.buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/**
 * Sends `bytes`, of which the first carries `descriptor`, in one call. For a few bytes on a socket on which nothing
 * else is waiting to be sent.
 * @throws SystemError EPIPE when the other end is closed, EAGAIN when its buffer is full, EBADF
 */
export function sendDescriptor(socketFd: number, bytes: Uint8Array, descriptor: number): void {
  const payload = new OwnedBuffer(bytes.length);
  payload.bytes.set(bytes);
  const vector = new OwnedBuffer(16);
  vector.view.setBigUint64(0, payload.address, true);
  vector.view.setBigUint64(8, BigInt(bytes.length), true);
  const control = new OwnedBuffer(CMSG_BYTES);
  control.view.setBigUint64(0, BigInt(CMSG_LENGTH), true);
  control.view.setInt32(8, SOL_SOCKET, true);
  control.view.setInt32(12, SCM_RIGHTS, true);
  control.view.setInt32(16, descriptor, true);
  const header = new OwnedBuffer(MSGHDR_BYTES);
  header.view.setBigUint64(16, vector.address, true);
  header.view.setBigUint64(24, 1n, true);
  header.view.setBigUint64(32, control.address, true);
  header.view.setBigUint64(40, BigInt(CMSG_BYTES), true);
  for (;;) {
    const sent = libc.sendmsg(socketFd, header.bytes, MSG_NOSIGNAL);
    if (sent === bytes.length) return;
    if (sent >= 0) throw new SystemError('send a descriptor with all of its message', EAGAIN);
    const errno = lastErrno();
    if (errno !== EINTR) throw new SystemError('send a descriptor', errno);
  }
}
