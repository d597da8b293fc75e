/**
 * What rtnetlink tells and takes: links, addresses, routes, rules. Plain data; the codecs are beside
 * (link.ts, address.ts, route.ts, rule.ts). Addresses are canonical text, indexes are kernel interface indexes.
 *
 * References: rtnetlink(7), <linux/rtnetlink.h>, <linux/if_link.h>, <linux/if_addr.h>, <linux/fib_rules.h>.
 */
import type { Family, Prefix } from '../base/ip.ts';

/** Link flags (<linux/if.h>). */
export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_LOWER_UP = 0x10000;

/** Address flags (<linux/if_addr.h>). */
export const IFA_F_TEMPORARY = 0x01;
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_DEPRECATED = 0x20;
export const IFA_F_TENTATIVE = 0x40;
export const IFA_F_NODAD = 0x02;

/** Scopes, tables, types and protocols (<linux/rtnetlink.h>). */
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_TABLE_DEFAULT = 253;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;
/** Weft's own: in the range that the kernel leaves to programs, and in no rt_protos file known to us. */
export const RTPROT_WEFT = 178;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFF_* bits. */
  readonly flags: number;
  /** ARPHRD_* (1 Ethernet, 772 loopback, 65534 none). */
  readonly hardwareType: number;
  readonly mtuBytes: number;
  /** IF_OPER_* (6 up, 0 unknown). */
  readonly operationalState: number;
  /** `false` when the cable is out; `undefined` when the kernel did not say. */
  readonly carrier?: boolean;
  /** `veth`, `bridge`, `tun` …; absent for hardware. */
  readonly kind?: string;
  /** The bridge or bond that this link is a port of. */
  readonly masterIndex?: number;
  /** MAC address as `aa:bb:…`; absent when the link has none. */
  readonly hardwareAddress?: string;
}

/** What has passed a link since it was made, in both directions (<linux/if_link.h>, rtnl_link_stats64). */
export interface LinkTraffic {
  readonly receivedPackets: number;
  readonly sentPackets: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly errors: number;
  readonly drops: number;
}

export interface InterfaceAddress {
  readonly linkIndex: number;
  readonly family: Family;
  /** The host's own address (IFA_LOCAL, never the peer of a point-to-point link). */
  readonly address: string;
  /** The other end of a point-to-point link, when it differs. */
  readonly peer?: string;
  readonly prefixLength: number;
  readonly scope: number;
  /** IFA_F_* bits. */
  readonly flags: number;
  readonly label?: string;
}

export interface NextHop {
  readonly linkIndex: number;
  readonly gateway?: string;
}

export interface Route {
  readonly family: Family;
  /** Absent for a default route. */
  readonly destination?: Prefix;
  readonly source?: Prefix;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly gateway?: string;
  readonly linkIndex?: number;
  /** Metric; lower is preferred. Absent counts as 0. */
  readonly priority?: number;
  readonly preferredSource?: string;
  /** Multipath routes only; gateway and linkIndex are absent then. */
  readonly nextHops?: readonly NextHop[];
  /** Largest packet over this route, where the route itself says it. */
  readonly mtuBytes?: number;
  /** RTNH_F_* and RTM_F_* bits: 1 dead, 4 on-link, 16 link down. */
  readonly flags: number;
}

export const RTNH_F_DEAD = 1;
export const RTNH_F_ONLINK = 4;
export const RTNH_F_LINKDOWN = 16;

export const FR_ACT_TO_TBL = 1;

export interface Rule {
  readonly family: Family;
  readonly priority: number;
  readonly source?: Prefix;
  readonly destination?: Prefix;
  readonly table: number;
  /** FR_ACT_*; 1 is "look up a table". */
  readonly action: number;
  readonly protocol: number;
  readonly inputLink?: string;
  readonly outputLink?: string;
  readonly mark?: number;
}

/** What a change of routing is about. */
export type RouteEvent =
  | { readonly kind: 'link'; readonly action: 'new' | 'delete'; readonly link: Link }
  | { readonly kind: 'address'; readonly action: 'new' | 'delete'; readonly address: InterfaceAddress }
  | { readonly kind: 'route'; readonly action: 'new' | 'delete'; readonly route: Route }
  | { readonly kind: 'rule'; readonly action: 'new' | 'delete'; readonly rule: Rule }
  /** The kernel dropped messages (ENOBUFS): what is known is stale, read everything again. */
  | { readonly kind: 'overrun' };
