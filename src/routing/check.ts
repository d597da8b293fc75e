/**
 * Questions about a host's routing, for `weft doctor`: does a packet from each path's address leave by the path's
 * own link, and does the kernel accept the answers there. Reads only; needs no privilege.
 */
import { readFileSync } from 'node:fs';
import { isIpv6 } from '../base/index.ts';
import { inNamespace } from '../native/index.ts';
import { NetlinkError, type RouteNetlink } from '../netlink/index.ts';
import type { HostPath } from './paths.ts';

/** Addresses of no host (RFC 5737, RFC 3849): what leads there is the default route. */
const SOMEWHERE_V4 = '192.0.2.1';
const SOMEWHERE_V6 = '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff';

export interface RouteCheck {
  readonly path: HostPath;
  readonly ok: boolean;
  /** In words, when not. */
  readonly why?: string;
}

/** Asks the kernel which way a packet from the path's address to somewhere far takes. */
export function checkRoute(netlink: RouteNetlink, path: HostPath): RouteCheck {
  const destination = isIpv6(path.address) ? SOMEWHERE_V6 : SOMEWHERE_V4;
  try {
    const route = netlink.lookupRoute({ destination, source: path.address });
    if (route.linkIndex === path.linkIndex) return { path, ok: true };
    const name = netlink.links().find((link) => link.index === route.linkIndex)?.name ?? route.linkIndex;
    return {
      path,
      ok: false,
      why: `packets from ${path.address} leave by "${name}", not by "${path.linkName}"`,
    };
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return { path, ok: false, why: `no route leads out from ${path.address} (${error.code})` };
  }
}

/** The kernel's reverse path filter of one link: 0 off, 1 strict, 2 loose; the larger of the link's and `all`. */
export interface ReversePathFilter {
  readonly linkName: string;
  readonly mode: number;
  /**
   * Strict mode drops answers to an address whose packets would leave by another link. With Weft's rules they do
   * not (measured: strict passes with the rule and drops without), so this is true only while the rule is missing.
   */
  readonly dropsAnswers: boolean;
}

/** A link's name cannot contain a slash (dev_valid_name in the kernel), but may contain dots. */
function readSetting(name: string): number {
  return Number(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, 'utf8').trim());
}

/** IPv4 only: the kernel has no such filter for IPv6. `undefined` where the setting cannot be read. */
export function readReversePathFilter(linkName: string, netns?: string): number | undefined {
  const read = () => Math.max(readSetting('all'), readSetting(linkName));
  try {
    return netns === undefined ? read() : inNamespace(netns, read);
  } catch {
    return undefined;
  }
}

export function checkReversePath(check: RouteCheck, netns?: string): ReversePathFilter | undefined {
  const { linkName, address } = check.path;
  const mode = isIpv6(address) ? undefined : readReversePathFilter(linkName, netns);
  return mode === undefined ? undefined : { linkName, mode, dropsAnswers: mode === 1 && !check.ok };
}
