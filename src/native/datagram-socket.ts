/**
 * An unconnected UDP socket on a port of every address of the host, IPv4 and IPv6, that tells to which of the host's
 * addresses a datagram came, and sends from an address and through a link that the caller names. For the main thread
 * and a few thousand datagrams a second; not for data paths.
 *
 *   msghdr (56)   0 name ptr | 8 name length u32 | 16 iov ptr | 24 iov count | 32 control ptr | 40 control length | 48 flags i32
 *   iovec (16)    0 base ptr | 8 length
 *   cmsghdr (16)  0 length u64, header included | 8 level i32 | 12 type i32
 *   in6_pktinfo   0 address 16 | 16 link index u32
 *
 * Invariant: `receive` gives a view of one buffer, good until the next call; sending never blocks. IPv4 addresses come
 * and go as such, though the socket sees them mapped. References: ipv6(7), ip(7), RFC 3542 section 6, recvmsg(2).
 */
import { AF_INET, AF_INET6, isIpv6, parseIp, unmapV4, formatIp } from '../base/ip.ts';
import * as C from './constants.ts';
import { EAFNOSUPPORT, EAGAIN, EINTR, SystemError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';
import { OwnedBuffer } from './owned-buffer.ts';
import { emitSockaddr, parseSockaddr, SOCKADDR_STORAGE_BYTES, type SocketAddress } from './sockaddr.ts';
import { bindSocket, closeFd, localAddressOf, openSocket, setIntOption, trySetIntOption } from './socket.ts';

const PAYLOAD_BYTES = 65_535;
const CONTROL_BYTES = 64;
const MSGHDR_BYTES = 56;
const CMSG_HEADER_BYTES = 16;
const PKTINFO_BYTES = 20;
/** A control message of in6_pktinfo, padded to 8. */
const PKTINFO_SPACE = 40;

const AT_NAME_LENGTH = 8;
const AT_CONTROL = 32;
const AT_CONTROL_LENGTH = 40;
const AT_FLAGS = 48;

export interface ReceivedDatagram {
  /** A view that the next `receive` overwrites. */
  readonly bytes: Uint8Array;
  readonly from: SocketAddress;
  /** The host's address that it came to, and the link. Absent where the host has no IPv6. */
  readonly to?: string;
  readonly linkIndex?: number;
}

/** Where a datagram leaves from. */
export interface DatagramOrigin {
  readonly address?: string;
  readonly linkIndex?: number;
}

class MessageHeader {
  readonly header = new OwnedBuffer(MSGHDR_BYTES);
  readonly name = new OwnedBuffer(SOCKADDR_STORAGE_BYTES);
  readonly control = new OwnedBuffer(CONTROL_BYTES);
  readonly payload = new OwnedBuffer(PAYLOAD_BYTES);
  readonly vector = new OwnedBuffer(16);

  constructor() {
    this.vector.view.setBigUint64(0, this.payload.address, true);
    this.header.view.setBigUint64(0, this.name.address, true);
    this.header.view.setBigUint64(16, this.vector.address, true);
    this.header.view.setBigUint64(24, 1n, true);
  }

  set(nameBytes: number, payloadBytes: number, controlBytes: number): void {
    this.header.view.setUint32(AT_NAME_LENGTH, nameBytes, true);
    this.vector.view.setBigUint64(8, BigInt(payloadBytes), true);
    this.header.view.setBigUint64(AT_CONTROL, controlBytes === 0 ? 0n : this.control.address, true);
    this.header.view.setBigUint64(AT_CONTROL_LENGTH, BigInt(controlBytes), true);
    this.header.view.setInt32(AT_FLAGS, 0, true);
  }
}

const mapped = (address: string): string => (isIpv6(address) ? address : `::ffff:${address}`);

export class DatagramSocket {
  readonly fd: number;
  readonly #isDual: boolean;
  readonly #in = new MessageHeader();
  readonly #out = new MessageHeader();

  private constructor(fd: number, isDual: boolean) {
    this.fd = fd;
    this.#isDual = isDual;
  }

  /**
   * @param port 0: any free one
   * @throws SystemError EADDRINUSE, EACCES …
   */
  static open(port: number): DatagramSocket {
    try {
      return DatagramSocket.#open(AF_INET6, port);
    } catch (error) {
      const hasNoIpv6 =
        error instanceof SystemError && (error.errno === EAFNOSUPPORT || error.code === 'EADDRNOTAVAIL');
      if (!hasNoIpv6) throw error;
      return DatagramSocket.#open(AF_INET, port);
    }
  }

  static #open(family: number, port: number): DatagramSocket {
    const fd = openSocket(family, C.SOCK_DGRAM | C.SOCK_NONBLOCK, 0);
    try {
      const isDual = family === AF_INET6;
      if (isDual) {
        setIntOption(fd, C.IPPROTO_IPV6, C.IPV6_V6ONLY, 0);
        trySetIntOption(fd, C.IPPROTO_IPV6, C.IPV6_RECVPKTINFO, 1);
      }
      bindSocket(fd, { address: isDual ? '::' : '0.0.0.0', port });
      return new DatagramSocket(fd, isDual);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /** The port that it is bound to. */
  get port(): number {
    return localAddressOf(this.fd)?.port ?? 0;
  }

  /** The next waiting datagram; `undefined` when none waits. Errors of earlier sends are passed over. */
  receive(): ReceivedDatagram | undefined {
    const { header, name, payload } = this.#in;
    for (let tries = 0; tries < 16; tries++) {
      this.#in.set(SOCKADDR_STORAGE_BYTES, PAYLOAD_BYTES, CONTROL_BYTES);
      const length = libc.recvmsg(this.fd, header.bytes, C.MSG_DONTWAIT);
      if (length < 0) {
        const errno = lastErrno();
        if (errno === EAGAIN) return undefined;
        // ECONNREFUSED and its like belong to what was sent, and are gone now; EINTR means again.
        continue;
      }
      const from = parseSockaddr(name.bytes.subarray(0, header.view.getUint32(AT_NAME_LENGTH, true)));
      if (from === undefined) continue;
      return {
        bytes: payload.bytes.subarray(0, length),
        from: { ...from, address: unmapV4(from.address) },
        ...this.#destination(),
      };
    }
    return undefined;
  }

  #destination(): { readonly to?: string; readonly linkIndex?: number } {
    const { header, control } = this.#in;
    const length = Number(header.view.getBigUint64(AT_CONTROL_LENGTH, true));
    const isInfo =
      length >= CMSG_HEADER_BYTES + PKTINFO_BYTES &&
      control.view.getInt32(8, true) === C.IPPROTO_IPV6 &&
      control.view.getInt32(12, true) === C.IPV6_PKTINFO;
    if (!isInfo) return {};
    const to = formatIp(control.bytes.subarray(CMSG_HEADER_BYTES, CMSG_HEADER_BYTES + 16));
    return { to: unmapV4(to), linkIndex: control.view.getUint32(CMSG_HEADER_BYTES + 16, true) };
  }

  /**
   * Sends one datagram of at most 65,535 bytes, from `origin` where that is possible.
   * @returns 0, or the errno: EAGAIN, ENETUNREACH, EADDRNOTAVAIL (`origin` is no address of the host), EMSGSIZE …
   */
  send(bytes: Uint8Array, to: SocketAddress, origin: DatagramOrigin = {}): number {
    const { header, name, payload } = this.#out;
    if (!this.#isDual && isIpv6(to.address)) return EAFNOSUPPORT;
    const sockaddr = emitSockaddr(this.#isDual ? { ...to, address: mapped(to.address) } : to);
    name.bytes.set(sockaddr);
    payload.bytes.set(bytes);
    this.#out.set(sockaddr.length, bytes.length, this.#writeOrigin(origin, isIpv6(to.address)));
    for (;;) {
      if (libc.sendmsg(this.fd, header.bytes, C.MSG_DONTWAIT | C.MSG_NOSIGNAL) >= 0) return 0;
      const errno = lastErrno();
      if (errno !== EINTR) return errno;
    }
  }

  #writeOrigin({ address, linkIndex }: DatagramOrigin, isToIpv6: boolean): number {
    if (!this.#isDual || (address === undefined && linkIndex === undefined)) return 0;
    const { bytes, view } = this.#out.control;
    bytes.fill(0);
    view.setBigUint64(0, BigInt(CMSG_HEADER_BYTES + PKTINFO_BYTES), true);
    view.setInt32(8, C.IPPROTO_IPV6, true);
    view.setInt32(12, C.IPV6_PKTINFO, true);
    // For IPv4 the address must be a mapped one, even that which means any.
    const ip = parseIp(mapped(address ?? (isToIpv6 ? '::' : '0.0.0.0')));
    if (ip !== undefined) bytes.set(ip, CMSG_HEADER_BYTES);
    view.setUint32(CMSG_HEADER_BYTES + 16, linkIndex ?? 0, true);
    return PKTINFO_SPACE;
  }

  close(): void {
    closeFd(this.fd);
  }
}
