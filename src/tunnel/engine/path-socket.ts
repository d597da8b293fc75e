/**
 * The UDP socket of a path: bound to the path's own address and the connection's port, leaving through the path's link,
 * with room for bursts and with what the kernel has of segmentation.
 *
 * Bound with IP_FREEBIND, so that an address that is not there yet, or goes and comes again, needs no new socket. Several
 * paths from one address would get each other's packets: their sockets are connected, so that the kernel tells them
 * apart by the peer; then the peer's port counts as well.
 *
 * References: ip(7), ipv6(7), udp(7), <linux/udp.h>.
 */
import { AF_INET, AF_INET6, type Logger } from '../../base/index.ts';
import {
  bindSocket,
  check,
  closeFd,
  EAGAIN,
  emitSockaddr,
  errnoName,
  IP_FREEBIND,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DO,
  IP_PMTUDISC_PROBE,
  IP_UNICAST_IF,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_FREEBIND,
  IPV6_MTU,
  IPV6_MTU_DISCOVER,
  IPV6_UNICAST_IF,
  IPV6_V6ONLY,
  lastErrno,
  libc,
  localAddressOf,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  openSocket,
  setIntOption,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  SOL_UDP,
  startConnect,
  SystemError,
  trySetIntOption,
  UDP_GRO,
  UDP_SEGMENT,
  getIntOption,
} from '../../native/index.ts';
import { unspecified } from '../config/section-reader.ts';
import type { IpVersion } from '../wire/data-header.ts';

/** A tenth of a second at several Gbit/s. */
const RECEIVE_BUFFER_BYTES = 16 << 20;
const SEND_BUFFER_BYTES = 4 << 20;
/** BOUNDED: how often a datagram that was refused is sent again. */
const SEND_REPEATS = 2;

export interface PathSocketOptions {
  readonly ipVersion: IpVersion;
  /** `0.0.0.0` or `::`: any. */
  readonly localAddress: string;
  /** 0: any. */
  readonly port: number;
  /** Of the link that packets leave through, whatever the routes say; absent: as they say. */
  readonly linkIndex?: number;
  /** Other sockets are bound to the same address and port: this one takes what comes from here only. */
  readonly peer?: { readonly address: string; readonly port: number };
  /** The one among such sockets that gets what is none of theirs. */
  readonly isSharing?: boolean;
}

/** Equal for sockets that can stand for each other; those that have nothing to share are never equal. */
export function socketKey({ ipVersion, localAddress, port, peer }: PathSocketOptions): string | undefined {
  if (port === 0) return undefined;
  return `${ipVersion} ${localAddress} ${port}${peer === undefined ? '' : ` ${peer.address} ${peer.port}`}`;
}

/** u32 in network byte order, as an int of this little-endian host. */
const networkOrder = (value: number): number =>
  ((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);

export class PathSocket {
  readonly fd: number;
  readonly ipVersion: IpVersion;
  readonly port: number;
  /** What it was bound to. */
  readonly localAddress: string;
  /** As `socketKey` says of what it was opened with, with the port that it got. */
  readonly key: string | undefined;
  /** Whether the kernel cuts what is sent into datagrams (UDP_SEGMENT), and joins what is received (UDP_GRO). */
  readonly hasSegmentation: boolean;
  readonly hasReceiveOffload: boolean;
  #linkIndex: number | undefined;
  #isClosed = false;

  private constructor(fd: number, options: PathSocketOptions) {
    this.fd = fd;
    this.ipVersion = options.ipVersion;
    this.port = localAddressOf(fd)?.port ?? 0;
    this.localAddress = options.localAddress;
    this.#linkIndex = options.linkIndex;
    // The one of a path without an address got a port that is not the connection's.
    const isPlaceholder = options.port === 0 && options.localAddress === unspecified(options.ipVersion);
    this.key = isPlaceholder ? undefined : socketKey({ ...options, port: this.port });
    this.hasSegmentation = trySetIntOption(fd, SOL_UDP, UDP_SEGMENT, 0);
    this.hasReceiveOffload = trySetIntOption(fd, SOL_UDP, UDP_GRO, 1);
  }

  /** @throws SystemError EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT (no IPv6 on this host) … */
  static open(options: PathSocketOptions, logger: Logger): PathSocket {
    const { ipVersion, linkIndex, peer } = options;
    const isV6 = ipVersion === 6;
    const fd = openSocket(isV6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    try {
      if (isV6) setIntOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      const level = isV6 ? IPPROTO_IPV6 : IPPROTO_IP;
      trySetIntOption(fd, level, isV6 ? IPV6_FREEBIND : IP_FREEBIND, 1);
      if (peer !== undefined || options.isSharing === true) {
        setIntOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        setIntOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
      }
      bindSocket(fd, { address: options.localAddress, port: options.port });
      if (linkIndex !== undefined) {
        if (!tieToLink(fd, ipVersion, linkIndex)) {
          logger.warn({ linkIndex, errno: errnoName(lastErrno()) }, 'a path cannot be tied to its link');
        }
      }
      if (peer !== undefined) startConnect(fd, peer);
      enlarge(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
      enlarge(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER_BYTES);
      const socket = new PathSocket(fd, options);
      socket.setProbing(false);
      return socket;
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /**
   * Probing: the kernel sends whatever the link holds, and what it believes of the path's MTU does not count; a search
   * by probes decides. Otherwise the kernel refuses what is longer than it believes, and never makes fragments.
   */
  setProbing(isOn: boolean): void {
    const isV6 = this.ipVersion === 6;
    const value = isOn ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DO;
    trySetIntOption(
      this.fd,
      isV6 ? IPPROTO_IPV6 : IPPROTO_IP,
      isV6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
      value,
    );
  }

  /** The path's link has another index: it was removed and made anew. */
  setLink(linkIndex: number): void {
    if (linkIndex === this.#linkIndex || this.#isClosed) return;
    this.#linkIndex = linkIndex;
    tieToLink(this.fd, this.ipVersion, linkIndex);
  }

  /**
   * Sends one datagram; again when it was refused, because that may tell of an ICMP answer to an earlier one, which
   * anybody can send. @returns 0, or the errno.
   */
  send(bytes: Uint8Array, to: Uint8Array): number {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    let errno = 0;
    for (let tries = 0; tries <= SEND_REPEATS && !this.#isClosed; tries++) {
      if (libc.sendto(this.fd, bytes, bytes.length, flags, to, to.length) >= 0) return 0;
      errno = lastErrno();
      if (errno === EAGAIN) break;
    }
    return errno;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeFd(this.fd);
  }
}

function tieToLink(fd: number, ipVersion: IpVersion, linkIndex: number): boolean {
  return ipVersion === 6
    ? trySetIntOption(fd, IPPROTO_IPV6, IPV6_UNICAST_IF, networkOrder(linkIndex))
    : trySetIntOption(fd, IPPROTO_IP, IP_UNICAST_IF, networkOrder(linkIndex));
}

function enlarge(fd: number, force: number, plain: number, bytes: number): void {
  if (!trySetIntOption(fd, SOL_SOCKET, force, bytes)) trySetIntOption(fd, SOL_SOCKET, plain, bytes);
}

/**
 * What the kernel believes the largest packet to be that goes from here to there; `undefined` when it has no way there.
 * Asked of a socket of its own: one that is not connected does not know.
 */
export function kernelPathMtu(local: string, remote: string, port: number): number | undefined {
  const isV6 = remote.includes(':');
  const fd = openSocket(isV6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  try {
    bindSocket(fd, { address: local, port: 0 });
    const to = emitSockaddr({ address: remote, port });
    check(libc.connect(fd, to, to.length), 'connect');
    return getIntOption(fd, isV6 ? IPPROTO_IPV6 : IPPROTO_IP, isV6 ? IPV6_MTU : IP_MTU);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  } finally {
    closeFd(fd);
  }
}
