/**
 * Routes on the wire (pure): RTM_NEWROUTE and relatives.
 *
 *   rtmsg (12): 0 family | 1 destination length | 2 source length | 3 tos | 4 table | 5 protocol | 6 scope
 *               7 type (u8 each) | 8 flags u32
 *   rtnexthop (8): 0 length u16 | 2 flags u8 | 3 hops u8 | 4 link index s32 | attributes
 *
 * References: rtnetlink(7), <linux/rtnetlink.h>.
 */
import { AF_INET, AF_INET6, familyOf, formatIp, type Prefix } from '../base/ip.ts';
import { requireIp } from './address.ts';
import { align4, parseAttributes, PayloadWriter, type Attributes } from './attributes.ts';
import {
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RTN_UNICAST,
  RTPROT_STATIC,
  type NextHop,
  type Route,
} from './route-types.ts';
import { WeftError } from '../base/errors.ts';

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTAX_MTU = 2;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTNEXTHOP_BYTES = 8;

/** Scope that matches any when a route is deleted. */
const RT_SCOPE_NOWHERE = 255;

/** A route to add or delete. The family comes from `family`, or else from the first address named. */
export interface RouteSpec {
  readonly family?: number;
  /** Absent for a default route. */
  readonly destination?: Prefix;
  readonly table: number;
  readonly protocol?: number;
  readonly scope?: number;
  readonly type?: number;
  readonly gateway?: string;
  readonly linkIndex?: number;
  readonly priority?: number;
  readonly preferredSource?: string;
  /** RTNH_F_*, such as on-link. */
  readonly flags?: number;
  /** Largest packet over this route. IPv4 takes less of it than the link's own MTU only. */
  readonly mtuBytes?: number;
}

function emitPrefixed(writer: PayloadWriter, type: number, prefix: Prefix | undefined): void {
  if (prefix !== undefined && prefix.length > 0) writer.bytes(type, requireIp(prefix.address));
}

/** What deletes or makes again exactly that route (the kernel names a link even where a route leads nowhere). */
export function routeSpecOf(route: Route): RouteSpec {
  const { family, table, protocol, type, destination, gateway, linkIndex, priority } = route;
  return {
    family,
    table,
    protocol,
    type,
    ...(destination === undefined ? {} : { destination }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(linkIndex === undefined || type !== RTN_UNICAST ? {} : { linkIndex }),
    ...(priority === undefined ? {} : { priority }),
  };
}

function routeFamily(spec: RouteSpec): number {
  const named = spec.destination?.address ?? spec.gateway ?? spec.preferredSource;
  const family = spec.family ?? (named === undefined ? undefined : familyOf(named));
  if (family === undefined) {
    throw new WeftError('a route needs an address family', {
      code: 'BAD_ROUTE',
      hint: 'name its family or gateway',
    });
  }
  return family;
}

function emitRtmsg(spec: RouteSpec, scope: number): PayloadWriter {
  const header = new Uint8Array(RTMSG_BYTES);
  header[0] = routeFamily(spec);
  header[1] = spec.destination?.length ?? 0;
  // Tables above 255 stand in RTA_TABLE; the old field then says "unspecified".
  header[4] = spec.table < 256 ? spec.table : 0;
  header[5] = spec.protocol ?? RTPROT_STATIC;
  header[6] = scope;
  header[7] = spec.type ?? RTN_UNICAST;
  new DataView(header.buffer).setUint32(8, spec.flags ?? 0, true);
  const writer = new PayloadWriter().struct(header);
  emitPrefixed(writer, RTA_DST, spec.destination);
  writer.u32(RTA_TABLE, spec.table);
  if (spec.gateway !== undefined) {
    const gateway = requireIp(spec.gateway);
    if (header[0] === AF_INET && gateway.length === 16) {
      writer.bytes(RTA_VIA, Uint8Array.of(AF_INET6, 0, ...gateway));
    } else {
      writer.bytes(RTA_GATEWAY, gateway);
    }
  }
  if (spec.linkIndex !== undefined) writer.u32(RTA_OIF, spec.linkIndex);
  if (spec.priority !== undefined) writer.u32(RTA_PRIORITY, spec.priority);
  if (spec.preferredSource !== undefined) writer.bytes(RTA_PREFSRC, requireIp(spec.preferredSource));
  const { mtuBytes } = spec;
  if (mtuBytes !== undefined) writer.nest(RTA_METRICS, (metrics) => metrics.u32(RTAX_MTU, mtuBytes));
  return writer;
}

export function emitNewRoute(spec: RouteSpec): Uint8Array {
  const direct = spec.gateway === undefined && routeFamily(spec) === AF_INET;
  return emitRtmsg(spec, spec.scope ?? (direct ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE)).finish();
}

export function emitDeleteRoute(spec: RouteSpec): Uint8Array {
  return emitRtmsg(spec, spec.scope ?? RT_SCOPE_NOWHERE).finish();
}

/** Which routes to list; what is not named is not asked for. A kernel before 4.20 lists all. */
export interface RouteFilter {
  readonly table?: number;
  readonly protocol?: number;
}

export function emitRouteDump(filter: RouteFilter = {}): Uint8Array {
  const header = new Uint8Array(RTMSG_BYTES);
  header[5] = filter.protocol ?? 0;
  const writer = new PayloadWriter().struct(header);
  if (filter.table !== undefined) writer.u32(RTA_TABLE, filter.table);
  return writer.finish();
}

/** In an IPv4 look-up: tell the table that the route stands in, not the one asked. */
const RTM_F_LOOKUP_TABLE = 0x1000;
/** Answer with the route of the table that matches, not with what it makes of this destination. */
const RTM_F_FIB_MATCH = 0x2000;

/** A question to the routing tables. */
export interface RouteQuery {
  readonly destination: string;
  readonly source?: string;
  readonly outputLinkIndex?: number;
  /** Tell the route that matches (with its destination and metric), not the one that is made of it. Linux 4.4. */
  readonly fibMatch?: boolean;
}

export function emitRouteLookup(query: RouteQuery): Uint8Array {
  const destination = requireIp(query.destination);
  const bits = destination.length * 8;
  const header = new Uint8Array(RTMSG_BYTES);
  header[0] = familyOf(query.destination);
  header[1] = bits;
  header[2] = query.source === undefined ? 0 : bits;
  // IPv6 always tells that table, and refuses the flag under strict checking.
  const flags = (bits === 32 ? RTM_F_LOOKUP_TABLE : 0) | (query.fibMatch === true ? RTM_F_FIB_MATCH : 0);
  new DataView(header.buffer).setUint32(8, flags, true);
  const writer = new PayloadWriter().struct(header).bytes(RTA_DST, destination);
  if (query.source !== undefined) writer.bytes(RTA_SRC, requireIp(query.source));
  if (query.outputLinkIndex !== undefined) writer.u32(RTA_OIF, query.outputLinkIndex);
  return writer.finish();
}

/** A gateway in RTA_GATEWAY, or of the other family in RTA_VIA (2 bytes family, address). */
function parseGateway(attributes: Attributes): string | undefined {
  const via = attributes.bytes(RTA_VIA)?.subarray(2);
  return attributes.ip(RTA_GATEWAY) ?? (via?.length === 4 || via?.length === 16 ? formatIp(via) : undefined);
}

function parseNextHops(bytes: Uint8Array): NextHop[] {
  const hops: NextHop[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at + RTNEXTHOP_BYTES <= bytes.length) {
    const length = view.getUint16(at, true);
    if (length < RTNEXTHOP_BYTES || at + length > bytes.length) break;
    const gateway = parseGateway(parseAttributes(bytes.subarray(at + RTNEXTHOP_BYTES, at + length)));
    const linkIndex = view.getInt32(at + 4, true);
    hops.push(gateway === undefined ? { linkIndex } : { linkIndex, gateway });
    at += align4(length);
  }
  return hops;
}

/** The address in attribute `type` with the prefix length that stands in the message's fixed part. */
export function parsePrefix(attributes: Attributes, type: number, length: number): Prefix | undefined {
  const address = attributes.ip(type);
  return address === undefined ? undefined : { address, length };
}

/** `undefined` when the payload is too short or of another family. */
export function parseRoute(payload: Uint8Array): Route | undefined {
  if (payload.length < RTMSG_BYTES) return undefined;
  const [family, destinationLength = 0, sourceLength = 0, , table = 0, protocol = 0, scope = 0, type = 0] =
    payload;
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const attributes = parseAttributes(payload, RTMSG_BYTES);
  const destination = parsePrefix(attributes, RTA_DST, destinationLength);
  const source = parsePrefix(attributes, RTA_SRC, sourceLength);
  const gateway = parseGateway(attributes);
  const linkIndex = attributes.u32(RTA_OIF);
  const priority = attributes.u32(RTA_PRIORITY);
  const preferredSource = attributes.ip(RTA_PREFSRC);
  const multipath = attributes.bytes(RTA_MULTIPATH);
  const mtuBytes = attributes.nested(RTA_METRICS)?.u32(RTAX_MTU);
  return {
    family,
    table: attributes.u32(RTA_TABLE) ?? table,
    protocol,
    scope,
    type,
    flags: view.getUint32(8, true),
    ...(destination === undefined ? {} : { destination }),
    ...(source === undefined ? {} : { source }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(linkIndex === undefined ? {} : { linkIndex }),
    ...(priority === undefined ? {} : { priority }),
    ...(preferredSource === undefined ? {} : { preferredSource }),
    ...(multipath === undefined ? {} : { nextHops: parseNextHops(multipath) }),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
  };
}
