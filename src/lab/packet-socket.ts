/**
 * A raw packet socket on one link: every frame that arrives there, and a way to send frames out of it, with the
 * virtio header, so that a TCP super-frame of 64 KiB passes as one and a checksum that the sender left to the
 * hardware stays left.
 *
 * Why not TAP: /dev/net/tun is often closed to ordinary users and missing in containers, a packet socket needs
 * nothing but the namespace.
 *
 *   sockaddr_ll (20): 0 family u16 | 2 protocol be16 | 4 link index s32 | 8 hardware type u16 | 10 packet type u8
 *                     11 address length u8 | 12 address 8
 *
 * References: packet(7), <linux/if_packet.h>, <linux/virtio_net.h>.
 */
import {
  check,
  closeFd,
  libc,
  openSocket,
  setIntOption,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  trySetIntOption,
} from '../native/index.ts';

const AF_PACKET = 17;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const ETH_P_ALL = 3;

/** struct virtio_net_hdr */
export const VIRTIO_HEADER_BYTES = 10;
/** The largest frame with its header: a super-frame of 65,535 bytes of IP, Ethernet, one VLAN tag. */
export const LARGEST_FRAME_BYTES = VIRTIO_HEADER_BYTES + 18 + 65_535;

/** Enough for the frames that come while the worker waits for its turn on a busy machine. */
const RECEIVE_BUFFER_BYTES = 8 << 20;

/** Opens the socket in this thread's network namespace, non-blocking. Needs CAP_NET_RAW there. */
export function openPacketSocket(linkIndex: number): number {
  // With protocol 0 nothing is received before the bind names the link.
  const fd = openSocket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
  try {
    setIntOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    setIntOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    // The forced size is for real root only; the other is cut to net.core.rmem_max.
    if (!trySetIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)) {
      trySetIntOption(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
    }
    trySetIntOption(fd, SOL_SOCKET, SO_SNDBUF, RECEIVE_BUFFER_BYTES);
    const sockaddr = new Uint8Array(20);
    const view = new DataView(sockaddr.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, ETH_P_ALL, false);
    view.setInt32(4, linkIndex, true);
    check(libc.bind(fd, sockaddr, sockaddr.length), `bind packet socket to link ${linkIndex}`);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}
