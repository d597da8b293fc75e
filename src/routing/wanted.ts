/**
 * What routing should look like (pure): for each path one table and one rule "from ADDRESS look in that table".
 *
 * A path's table holds, in order of what a packet meets:
 *   1. the link's own subnets, sent directly;
 *   2. a `throw` for every other destination that the main table knows (other subnets, VPNs, container bridges,
 *      static routes): the search goes on there. Weft decides which *default* route is taken, and nothing else,
 *      so a service that listens on a path's address still answers containers and VPN clients;
 *   3. the default route through the link.
 *
 * Invariant: the answer depends on the arguments alone; an address keeps its table as long as its rule stands.
 */
import { AF_INET, inPrefix, isIpv6, isLinkLocal, type Prefix } from '../base/index.ts';
import {
  RTN_UNICAST,
  RTNH_F_ONLINK,
  RTPROT_WEFT,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  type Route,
  type RouteSpec,
  type RuleSpec,
} from '../netlink/index.ts';
import type { HostView } from './host.ts';
import { RULE_PRIORITY, TABLE_COUNT } from './numbers.ts';
import { chooseTables, hostPrefix, isRuleFor, type TableUse } from './path-tables.ts';
import type { HostPath } from './paths.ts';

/** "Look at the next rule" (<linux/rtnetlink.h>). */
const RTN_THROW = 9;
/** What the kernel gives an IPv6 route without a metric; stated here so that two readings compare equal. */
const IPV6_METRIC = 1024;
/** BOUNDED: a host with a full internet table has no use for a million copies; subnets come before the rest. */
export const MAX_DETOURS = 256;

export interface WantedRouting {
  /** In the order in which the kernel accepts them. */
  readonly routes: readonly RouteSpec[];
  readonly rules: readonly RuleSpec[];
  /** The table of each routed address, by address. */
  readonly tables: ReadonlyMap<string, TableUse>;
  /** Destinations of the main table that have no detour, because there are more than MAX_DETOURS. */
  readonly detoursOmitted: number;
}

function keyOf(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** An address whose link lost its carrier keeps what it has: its packets must not leave by another uplink. */
function isHeld(path: HostPath, view: HostView): boolean {
  return (
    path.cause === 'no-carrier' &&
    path.defaultRoute !== undefined &&
    view.rules.some((rule) => isRuleFor(rule, path))
  );
}

function isDirect(route: Route, path: HostPath): boolean {
  return route.type === RTN_UNICAST && route.gateway === undefined && route.linkIndex === path.linkIndex;
}

/** A route of the main table that is about some destinations only. */
function isSpecific(route: Route, path: HostPath): boolean {
  return (
    route.table === RT_TABLE_MAIN &&
    route.family === path.family &&
    route.destination !== undefined &&
    route.destination.length > 0 &&
    route.source === undefined
  );
}

interface Destinations {
  /** The link's own, sent directly. */
  readonly direct: readonly Prefix[];
  /** All others, up to the bound. */
  readonly detours: readonly Prefix[];
  readonly omitted: number;
}

function bySize(a: Prefix, b: Prefix): number {
  return b.length - a.length || (a.address < b.address ? -1 : 1);
}

/** What the main table knows, each destination once; the path's own subnet goes before the same one elsewhere. */
function destinationsOf(path: HostPath, view: HostView): Destinations {
  const direct = new Map<string, Prefix>();
  const subnets: Route[] = [];
  const others: Route[] = [];
  for (const route of view.routes) {
    if (!isSpecific(route, path)) continue;
    if (isDirect(route, path)) direct.set(keyOf(route.destination!), route.destination!);
    else if (route.gateway === undefined && route.linkIndex !== undefined) subnets.push(route);
    else others.push(route);
  }
  const detours = new Map<string, Prefix>();
  let omitted = 0;
  for (const { destination } of [...subnets, ...others]) {
    if (detours.size >= MAX_DETOURS) {
      omitted++;
      continue;
    }
    const key = keyOf(destination!);
    if (!direct.has(key)) detours.set(key, destination!);
  }
  return {
    direct: [...direct.values()].sort(bySize),
    detours: [...detours.values()].sort(bySize),
    omitted,
  };
}

function routesOf(path: HostPath, table: number, { direct, detours }: Destinations): RouteSpec[] {
  const { family, linkIndex } = path;
  const priority = family === AF_INET ? 0 : IPV6_METRIC;
  const common = { family, table, protocol: RTPROT_WEFT, priority };
  // A route without gateway reaches no farther than the link, in the kernel's book-keeping for IPv4.
  const linkScope = family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const gateway = path.defaultRoute?.gateway;
  const reached =
    gateway === undefined ||
    // Every link reaches these, also as the gateways of IPv4 routes (RFC 5549).
    (isIpv6(gateway) && isLinkLocal(gateway)) ||
    direct.some((subnet) => inPrefix(gateway, subnet));
  const out: RouteSpec = {
    ...common,
    type: RTN_UNICAST,
    linkIndex,
    flags: reached ? 0 : RTNH_F_ONLINK,
    scope: gateway === undefined ? linkScope : RT_SCOPE_UNIVERSE,
    ...(gateway === undefined ? {} : { gateway }),
  };
  const specific = [
    ...direct.map((destination) => ({ type: RTN_UNICAST, destination, linkIndex, scope: linkScope })),
    ...detours.map((destination) => ({ type: RTN_THROW, destination, scope: RT_SCOPE_UNIVERSE })),
  ];
  return [...specific.map((route) => Object.assign(route, common, { flags: 0 })), out];
}

/**
 * @param paths those that are to be routed; usually all of the host, of which the usable ones are taken, and
 *   those that lost only their carrier
 */
export function wantedRouting(paths: readonly HostPath[], view: HostView): WantedRouting {
  // BOUNDED: by the number of tables.
  const routed = paths.filter((path) => path.state === 'usable' || isHeld(path, view)).slice(0, TABLE_COUNT);
  const tables = chooseTables(routed, view);
  const routes: RouteSpec[] = [];
  const rules: RuleSpec[] = [];
  let detoursOmitted = 0;
  for (const path of routed) {
    const use = tables.get(path.address);
    if (use === undefined || !use.own) continue;
    const destinations = destinationsOf(path, view);
    detoursOmitted = Math.max(detoursOmitted, destinations.omitted);
    routes.push(...routesOf(path, use.table, destinations));
    rules.push({
      family: path.family,
      priority: RULE_PRIORITY,
      source: hostPrefix(path.address),
      table: use.table,
      protocol: RTPROT_WEFT,
    });
  }
  return { routes, rules, tables, detoursOmitted };
}
