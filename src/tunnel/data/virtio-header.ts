/**
 * The header that a TUN device opened with IFF_VNET_HDR puts before each packet, and wants before each (struct
 * virtio_net_hdr of <linux/virtio_net.h>; the machine's byte order, which is little-endian on all that Weft runs on).
 *
 *   offset  size  field
 *   0       1     flags: 1 = the checksum from `checksum start` on is still to be done, 2 = it was checked
 *   1       1     what segments are to be made of it: `GsoType`, 0x80 added if the first carries CWR
 *   2       2     length of the headers that each segment gets; from the device only a hint
 *   4       2     payload bytes of a segment
 *   6       2     checksum start, from the packet's beginning on: the transport header
 *   8       2     checksum offset, from there on
 *
 * With flag 1 the checksum field holds the sum of the pseudo header.
 */
export const VIRTIO_HEADER_BYTES = 10;

export const VIRTIO_NEEDS_CHECKSUM = 1;
export const VIRTIO_DATA_VALID = 2;

export const VIRTIO_FLAGS = 0;
export const VIRTIO_GSO_TYPE = 1;
export const VIRTIO_GSO_BYTES = 4;
export const VIRTIO_CHECKSUM_START = 6;
export const VIRTIO_CHECKSUM_OFFSET = 8;

export const GsoType = { none: 0, tcp4: 1, tcp6: 4, udp: 5 } as const;
/** Bit beside the type. */
export const GSO_ECN = 0x80;

/** Where the checksum stands in a TCP and in a UDP header. */
export const TCP_CHECKSUM = 16;
export const UDP_CHECKSUM = 6;

/** A packet that is whole and whose checksum is as its header says. */
export function emitPlainVirtioHeader(bytes: Uint8Array, at: number): void {
  bytes.fill(0, at, at + VIRTIO_HEADER_BYTES);
}

/**
 * A super-packet, or one whose checksum is still to be done. `headerBytes`: IP and transport header, all three counted
 * from the packet's beginning.
 */
export function emitVirtioHeader(
  view: DataView,
  at: number,
  gsoType: number,
  headerBytes: number,
  gsoBytes: number,
  checksumStart: number,
  checksumOffset: number,
): void {
  view.setUint8(at, VIRTIO_NEEDS_CHECKSUM);
  view.setUint8(at + 1, gsoType);
  view.setUint16(at + 2, headerBytes, true);
  view.setUint16(at + 4, gsoBytes, true);
  view.setUint16(at + 6, checksumStart, true);
  view.setUint16(at + 8, checksumOffset, true);
}
