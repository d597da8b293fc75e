/**
 * IP packets for tests of the data plane, with right checksums: TCP and UDP over IPv4 and IPv6, plain headers and
 * TCP options.
 */
import { sumBytes, foldSum } from '../../src/tunnel/data/checksum-twin.ts';

export interface InnerPacketShape {
  readonly version: 4 | 6;
  readonly protocol: 6 | 17;
  /** Tells flows apart: source port and last byte of the source. */
  readonly flow: number;
  readonly payload: Uint8Array;
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly flags?: number;
  readonly windowSize?: number;
  /** Multiple of 4 bytes. */
  readonly options?: readonly number[];
  readonly id?: number;
  readonly dontFragment?: boolean;
  readonly hops?: number;
  /** Type of service or traffic class. */
  readonly service?: number;
  /** IPv4 options, a multiple of 4 bytes of 1 (no operation). */
  readonly ipOptionBytes?: number;
}

export function makeInnerPacket(shape: InnerPacketShape): Uint8Array {
  const { version, protocol, flow, payload, options = [], service = 0, hops = 63, ipOptionBytes = 0 } = shape;
  const ipBytes = version === 4 ? 20 + ipOptionBytes : 40;
  const headerBytes = ipBytes + (protocol === 6 ? 20 + options.length : 8);
  const packet = new Uint8Array(headerBytes + payload.length);
  const view = new DataView(packet.buffer);
  packet.set(payload, headerBytes);
  if (version === 4) {
    packet[0] = 0x40 | (ipBytes / 4);
    packet[1] = service;
    view.setUint16(2, packet.length);
    view.setUint16(4, shape.id ?? 0);
    view.setUint16(6, (shape.dontFragment ?? true) ? 0x4000 : 0);
    packet.set([hops, protocol, 0, 0, 10, 0, 1, flow, 10, 0, 0, 2], 8);
    packet.fill(1, 20, ipBytes);
    view.setUint16(10, ~sumBytes(packet, 0, ipBytes));
  } else {
    view.setUint16(0, 0x6000 | (service << 4));
    view.setUint16(4, packet.length - 40);
    packet.set([protocol, hops], 6);
    packet.set([0xfd, flow], 8);
    packet.set([0xfd, 2], 24);
    packet[39] = 9;
  }
  view.setUint16(ipBytes, 40_000 + flow);
  view.setUint16(ipBytes + 2, 5201);
  if (protocol === 6) {
    view.setUint32(ipBytes + 4, shape.sequence ?? 0);
    view.setUint32(ipBytes + 8, shape.acknowledgement ?? 1);
    packet[ipBytes + 12] = (5 + options.length / 4) << 4;
    packet[ipBytes + 13] = shape.flags ?? 0x10;
    view.setUint16(ipBytes + 14, shape.windowSize ?? 500);
    packet.set(options, ipBytes + 20);
  } else view.setUint16(ipBytes + 4, packet.length - ipBytes);
  const checksum = ~transportSumOf(packet, ipBytes, protocol) & 0xffff;
  view.setUint16(ipBytes + (protocol === 6 ? 16 : 6), checksum === 0 && protocol === 17 ? 0xffff : checksum);
  return packet;
}

/** Of pseudo header, transport header and payload; 0xffff if the checksum is right. */
export function transportSumOf(packet: Uint8Array, ipBytes: number, protocol: number): number {
  const [at, length] = packet[0]! >> 4 === 4 ? [12, 8] : [8, 32];
  const transport = packet.length - ipBytes;
  return foldSum(sumBytes(packet, at, length) + protocol + transport + sumBytes(packet, ipBytes, transport));
}

/** Bytes that differ from one length to the next. */
export const testContent = (length: number, salt = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i + salt, 0x9e3779b1) >>> 13) & 0xff);
