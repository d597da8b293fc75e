/**
 * Which default route serves an address (pure): of those through the address's own link, the one made for it,
 * else the one with the lowest metric.
 */
import { inPrefix } from '../base/index.ts';
import {
  RTN_UNICAST,
  RTNH_F_DEAD,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  type InterfaceAddress,
  type Route,
} from '../netlink/index.ts';
import type { HostView } from './host.ts';
import { hopsOf, isDefault } from './links.ts';
import { isOwnRoute } from './numbers.ts';

export interface DefaultRoute {
  /** Absent when the link itself is the way out (point-to-point links, some bridged ones). */
  readonly gateway?: string;
  /** Lower is preferred by the host. */
  readonly metric: number;
}

interface Candidate extends DefaultRoute {
  readonly rank: number;
}

/** Lower is better: made for this address; on its own subnet; and of equals, in the main table. */
function rankOf(route: Route, gateway: string | undefined, address: InterfaceAddress): number {
  const elsewhere = route.table === RT_TABLE_MAIN ? 0 : 1;
  if (route.preferredSource === address.address) return elsewhere;
  const subnet = { address: address.address, length: address.prefixLength };
  const near = gateway !== undefined && inPrefix(gateway, subnet);
  return (near ? 2 : 4) + elsewhere;
}

function compare(a: Candidate, b: Candidate): number {
  if (a.rank !== b.rank) return a.rank - b.rank;
  if (a.metric !== b.metric) return a.metric - b.metric;
  // Equal ones are a matter of taste, but of the same taste every time.
  return (a.gateway ?? '') < (b.gateway ?? '') ? -1 : 1;
}

/** Routes of the host's own administration that may serve `address`; Weft's copies are not among them. */
function serves(route: Route, address: InterfaceAddress): boolean {
  return (
    route.family === address.family &&
    route.type === RTN_UNICAST &&
    isDefault(route) &&
    route.table !== RT_TABLE_LOCAL &&
    (route.flags & RTNH_F_DEAD) === 0 &&
    !isOwnRoute(route) &&
    (route.source === undefined || inPrefix(address.address, route.source))
  );
}

export function defaultRouteFor(address: InterfaceAddress, view: HostView): DefaultRoute | undefined {
  let best: Candidate | undefined;
  for (const route of view.routes) {
    if (!serves(route, address)) continue;
    for (const hop of hopsOf(route)) {
      if (hop.linkIndex !== address.linkIndex) continue;
      const candidate: Candidate = {
        rank: rankOf(route, hop.gateway, address),
        metric: route.priority ?? 0,
        ...(hop.gateway === undefined ? {} : { gateway: hop.gateway }),
      };
      if (best === undefined || compare(candidate, best) < 0) best = candidate;
    }
  }
  if (best === undefined) return undefined;
  const { gateway, metric } = best;
  return gateway === undefined ? { metric } : { gateway, metric };
}
