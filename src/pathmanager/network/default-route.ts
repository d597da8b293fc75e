/**
 * Whether an interface has a default route: one question to the kernel's routing tables for each address, which takes
 * the same time however many routes there are. The routes themselves are never listed.
 *
 * The question is mptcpd's: what would the kernel take to a documentation address (RFC 5737, RFC 3849) out of this
 * interface, and unlike mptcpd's from this address, answered with the route that matches (RTM_F_FIB_MATCH), which has to be a default route of that
 * interface. It follows the host's rules, so routes in tables of their own count when a rule leads there.
 */
import { AF_INET, type Family } from '../../base/index.ts';
import { NetlinkError, RTN_UNICAST, type Route, type RouteNetlink } from '../../netlink/index.ts';
import type { DefaultRoute } from './network-state.ts';

const PROBES = { v4: '192.0.2.1', v6: '2001:db8::' } as const;

/** The address that stands for "anywhere". */
export const probeOf = (family: Family): string => (family === AF_INET ? PROBES.v4 : PROBES.v6);

/** Whether the route that the kernel found is a default route of that link (pure). */
export function isDefaultRouteOf(route: Route, linkIndex: number): boolean {
  const { destination, linkIndex: output, nextHops = [], type } = route;
  if (type !== RTN_UNICAST || (destination?.length ?? 0) > 0) return false;
  return output === linkIndex || nextHops.some((hop) => hop.linkIndex === linkIndex);
}

/** Asks the kernel. A refusal means that there is no route; any other failure is thrown. */
export function lookUpDefaultRoute(
  netlink: RouteNetlink,
  linkIndex: number,
  family: Family,
  source?: string,
): DefaultRoute | undefined {
  let route: Route;
  try {
    route = netlink.lookupRoute({
      destination: probeOf(family),
      outputLinkIndex: linkIndex,
      ...(source === undefined ? {} : { source }),
      fibMatch: true,
    });
  } catch (error) {
    if (error instanceof NetlinkError) return undefined;
    throw error;
  }
  return isDefaultRouteOf(route, linkIndex) ? { metric: route.priority ?? 0 } : undefined;
}
