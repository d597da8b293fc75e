/**
 * How a netlink socket is opened and joins multicast groups. What is said over it is connection.ts's (requests) and
 * event-socket.ts's (events).
 *
 * References: netlink(7).
 */
import {
  AF_NETLINK,
  check,
  closeFd,
  emitSockaddrNetlink,
  inNamespace,
  libc,
  openSocket,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_RAW,
  SOL_SOCKET,
  trySetIntOption,
} from '../native/index.ts';

const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

const DEFAULT_RECEIVE_BUFFER_BYTES = 1 << 20;

export interface NetlinkSocketOptions {
  /** File of the network namespace in which to open the socket; default is this thread's own. */
  readonly netns?: string;
  /** Asked for with SO_RCVBUFFORCE, and with SO_RCVBUF where that is not allowed. */
  readonly receiveBufferBytes?: number;
}

/** Opens and binds a netlink socket with extended ACKs, strict checking and the wanted receive buffer. */
export function openNetlinkSocket(protocol: number, options: NetlinkSocketOptions, typeFlags = 0): number {
  const open = () => openSocket(AF_NETLINK, SOCK_RAW | typeFlags, protocol);
  const fd = options.netns === undefined ? open() : inNamespace(options.netns, open);
  try {
    const bufferBytes = options.receiveBufferBytes ?? DEFAULT_RECEIVE_BUFFER_BYTES;
    if (!trySetIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes)) {
      trySetIntOption(fd, SOL_SOCKET, SO_RCVBUF, bufferBytes);
    }
    // Older kernels know neither; answers then come without text and with lenient checks.
    trySetIntOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    trySetIntOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    const local = emitSockaddrNetlink(0, 0);
    check(libc.bind(fd, local, local.length), 'bind netlink socket');
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Joins a multicast group. Errors: EPERM for groups that need CAP_NET_ADMIN. */
export function joinGroup(fd: number, group: number, name: string): void {
  const value = new Uint8Array(4);
  new DataView(value.buffer).setUint32(0, group, true);
  const result = libc.setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, value, 4);
  check(result, `join netlink group "${name}"`);
}
