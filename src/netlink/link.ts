/**
 * Links on the wire (pure): RTM_NEWLINK and relatives.
 *
 *   ifinfomsg (16): 0 family u8 | 2 hardware type u16 | 4 index s32 | 8 flags u32 | 12 change mask u32
 *
 * References: rtnetlink(7), <linux/if_link.h>.
 */
import { parseAttributes, PayloadWriter } from './attributes.ts';
import { IFF_UP, type Link, type LinkTraffic } from './route-types.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;

const IFINFOMSG_BYTES = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_NET_NS_FD = 28;
const IFLA_CARRIER = 33;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;

/** A link to make. */
export interface LinkSpec {
  readonly name: string;
  /** `veth`, `dummy`, `bridge`, `ifb` … */
  readonly kind: string;
  /** The other end of a veth, and the namespace (open descriptor) in which it appears. */
  readonly peer?: { readonly name: string; readonly netnsFd?: number };
  /** The namespace (open descriptor) in which the link appears; default is the socket's own. */
  readonly netnsFd?: number;
  readonly mtuBytes?: number;
}

/** What to change of a link; what is not named stays. */
export interface LinkChange {
  readonly up?: boolean;
  readonly name?: string;
  /** Moves the link into the namespace of this open descriptor. */
  readonly netnsFd?: number;
  /** 0 takes it out of its bridge. */
  readonly masterIndex?: number;
  readonly mtuBytes?: number;
  /** Packets that may wait to be sent. */
  readonly transmitQueueLength?: number;
  /** Carrier of a dummy or TAP link, where the driver lets it be set. */
  readonly carrier?: boolean;
}

function ifinfomsg(index: number, flags = 0, change = 0): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return bytes;
}

export function emitLinkDump(): Uint8Array {
  return new PayloadWriter().struct(ifinfomsg(0)).finish();
}

export function emitLinkIndex(index: number): Uint8Array {
  return new PayloadWriter().struct(ifinfomsg(index)).finish();
}

function emitNames(writer: PayloadWriter, spec: Pick<LinkSpec, 'name' | 'netnsFd' | 'mtuBytes'>): void {
  writer.text(IFLA_IFNAME, spec.name);
  if (spec.mtuBytes !== undefined) writer.u32(IFLA_MTU, spec.mtuBytes);
  if (spec.netnsFd !== undefined) writer.u32(IFLA_NET_NS_FD, spec.netnsFd);
}

export function emitNewLink(spec: LinkSpec): Uint8Array {
  const writer = new PayloadWriter().struct(ifinfomsg(0));
  emitNames(writer, spec);
  writer.nest(IFLA_LINKINFO, (info) => {
    info.text(IFLA_INFO_KIND, spec.kind);
    const { peer, mtuBytes } = spec;
    if (peer === undefined) return;
    info.nest(IFLA_INFO_DATA, (data) => {
      data.nest(VETH_INFO_PEER, (peerData) => {
        peerData.struct(ifinfomsg(0));
        emitNames(peerData, { ...peer, ...(mtuBytes === undefined ? {} : { mtuBytes }) });
      });
    });
  });
  return writer.finish();
}

export function emitLinkChange(index: number, change: LinkChange): Uint8Array {
  const header =
    change.up === undefined ? ifinfomsg(index) : ifinfomsg(index, change.up ? IFF_UP : 0, IFF_UP);
  const writer = new PayloadWriter().struct(header);
  if (change.name !== undefined) writer.text(IFLA_IFNAME, change.name);
  if (change.mtuBytes !== undefined) writer.u32(IFLA_MTU, change.mtuBytes);
  if (change.transmitQueueLength !== undefined) writer.u32(IFLA_TXQLEN, change.transmitQueueLength);
  if (change.masterIndex !== undefined) writer.u32(IFLA_MASTER, change.masterIndex);
  if (change.netnsFd !== undefined) writer.u32(IFLA_NET_NS_FD, change.netnsFd);
  if (change.carrier !== undefined) writer.u8(IFLA_CARRIER, change.carrier ? 1 : 0);
  return writer.finish();
}

function formatHardwareAddress(bytes: Uint8Array): string | undefined {
  if (!bytes.some((byte) => byte !== 0)) return undefined;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** `undefined` when the payload is too short or names no link. */
export function parseLink(payload: Uint8Array): Link | undefined {
  if (payload.length < IFINFOMSG_BYTES) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const attributes = parseAttributes(payload, IFINFOMSG_BYTES);
  const name = attributes.text(IFLA_IFNAME);
  if (name === undefined) return undefined;
  const carrier = attributes.u8(IFLA_CARRIER);
  const kind = attributes.nested(IFLA_LINKINFO)?.text(IFLA_INFO_KIND);
  const masterIndex = attributes.u32(IFLA_MASTER);
  const hardwareAddress = formatHardwareAddress(attributes.bytes(IFLA_ADDRESS) ?? new Uint8Array(0));
  return {
    index: view.getInt32(4, true),
    name,
    flags: view.getUint32(8, true),
    hardwareType: view.getUint16(2, true),
    mtuBytes: attributes.u32(IFLA_MTU) ?? 0,
    operationalState: attributes.u8(IFLA_OPERSTATE) ?? 0,
    ...(carrier === undefined ? {} : { carrier: carrier !== 0 }),
    ...(kind === undefined ? {} : { kind }),
    ...(masterIndex === undefined ? {} : { masterIndex }),
    ...(hardwareAddress === undefined ? {} : { hardwareAddress }),
  };
}

/** struct rtnl_link_stats64, u64 each: packets, bytes, errors and drops, received ones before sent ones. */
const STATS_RX_PACKETS = 0;
const STATS_TX_PACKETS = 8;
const STATS_RX_BYTES = 16;
const STATS_TX_BYTES = 24;
const STATS_RX_ERRORS = 32;
const STATS_TX_ERRORS = 40;
const STATS_RX_DROPPED = 48;
const STATS_TX_DROPPED = 56;
const STATS_BYTES = 64;

/** What has passed a link since it was made; `undefined` when the message says nothing of that. */
export function parseLinkTraffic(payload: Uint8Array): LinkTraffic | undefined {
  if (payload.length < IFINFOMSG_BYTES) return undefined;
  const bytes = parseAttributes(payload, IFINFOMSG_BYTES).bytes(IFLA_STATS64);
  if (bytes === undefined || bytes.length < STATS_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = (offset: number) => Number(view.getBigUint64(offset, true));
  return {
    receivedPackets: at(STATS_RX_PACKETS),
    sentPackets: at(STATS_TX_PACKETS),
    receivedBytes: at(STATS_RX_BYTES),
    sentBytes: at(STATS_TX_BYTES),
    errors: at(STATS_RX_ERRORS) + at(STATS_TX_ERRORS),
    drops: at(STATS_RX_DROPPED) + at(STATS_TX_DROPPED),
  };
}
