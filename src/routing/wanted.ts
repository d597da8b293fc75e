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
import { AF_INET, inPrefix, type Prefix } from '../base/index.ts';
import {
  FR_ACT_TO_TBL,
  RTN_UNICAST,
  RTNH_F_ONLINK,
  RTPROT_WEFT,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  type Route,
  type RouteSpec,
  type Rule,
  type RuleSpec,
} from '../netlink/index.ts';
import type { HostView } from './host.ts';
import { hopsOf, isDefault } from './links.ts';
import { FIRST_TABLE, isOwnRoute, isOwnRule, isPathTable, RULE_PRIORITY, TABLE_COUNT } from './numbers.ts';
import type { HostPath } from './paths.ts';

/** "Look at the next rule" (<linux/rtnetlink.h>). */
export const RTN_THROW = 9;
/** What the kernel gives an IPv6 route without a metric; stated here so that two readings compare equal. */
const IPV6_METRIC = 1024;
/** BOUNDED: a host with a full internet table has no use for a million copies; subnets come before the rest. */
export const MAX_DETOURS = 256;
/** The main table's own rule. */
const MAIN_RULE_PRIORITY = 32_766;

export interface WantedRouting {
  /** In the order in which the kernel accepts them. */
  readonly routes: readonly RouteSpec[];
  readonly rules: readonly RuleSpec[];
  /** The table of each routed address, by address. */
  readonly tables: ReadonlyMap<string, TableUse>;
}

export interface TableUse {
  readonly table: number;
  /** `false`: the host's administration has a rule and table for this address already, which serve as well. */
  readonly own: boolean;
}

export function hostPrefix(address: string): Prefix {
  return { address, length: address.includes(':') ? 128 : 32 };
}

const samePrefix = (a: Prefix | undefined, b: Prefix) => a?.address === b.address && a.length === b.length;

function keyOf(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** A table of someone else's that already does for this path what ours would. */
function foreignTableFor(path: HostPath, view: HostView): number | undefined {
  const rule = view.rules.find(
    (candidate) =>
      !isOwnRule(candidate) &&
      candidate.family === path.family &&
      candidate.action === FR_ACT_TO_TBL &&
      candidate.priority < MAIN_RULE_PRIORITY &&
      samePrefix(candidate.source, hostPrefix(path.address)) &&
      candidate.destination === undefined &&
      candidate.inputLink === undefined &&
      candidate.outputLink === undefined &&
      candidate.mark === undefined,
  );
  if (rule === undefined) return undefined;
  const leads = view.routes.some(
    (route) =>
      route.family === path.family &&
      route.table === rule.table &&
      route.type === RTN_UNICAST &&
      isDefault(route) &&
      hopsOf(route).some((hop) => hop.linkIndex === path.linkIndex),
  );
  return leads ? rule.table : undefined;
}

/** Tables that hold, or are pointed to by, something that is not Weft's. */
function foreignTables(view: HostView): Set<number> {
  const taken = new Set<number>();
  for (const route of view.routes) if (!isOwnRoute(route)) taken.add(route.table);
  for (const rule of view.rules) if (!isOwnRule(rule)) taken.add(rule.table);
  return taken;
}

const isRuleFor = (rule: Rule, path: HostPath) =>
  isOwnRule(rule) && rule.family === path.family && samePrefix(rule.source, hostPrefix(path.address));

/** A table of Weft's own that leads out by the path's link and has lost its rule, or did not get it yet. */
function orphanFor(path: HostPath, view: HostView): number | undefined {
  return view.routes.find(
    (route) =>
      isOwnRoute(route) &&
      route.family === path.family &&
      route.type === RTN_UNICAST &&
      isDefault(route) &&
      route.linkIndex === path.linkIndex &&
      !view.rules.some((rule) => isOwnRule(rule) && rule.table === route.table),
  )?.table;
}

/** One table for each path: the one it has, else the first that nobody uses. */
function chooseTables(paths: readonly HostPath[], view: HostView): Map<string, TableUse> {
  const uses = new Map<string, TableUse>();
  const foreign = foreignTables(view);
  const taken = new Set(foreign);
  const homeless: HostPath[] = [];
  for (const path of paths) {
    const others = foreignTableFor(path, view);
    if (others !== undefined) {
      uses.set(path.address, { table: others, own: false });
      continue;
    }
    const table = view.rules.find((rule) => isRuleFor(rule, path))?.table ?? orphanFor(path, view);
    if (table === undefined || taken.has(table)) homeless.push(path);
    else {
      uses.set(path.address, { table, own: true });
      taken.add(table);
    }
  }
  // Tables of vanished paths are emptied in the same plan; until then they are not free.
  for (const item of [...view.routes.filter(isOwnRoute), ...view.rules.filter(isOwnRule)]) {
    taken.add(item.table);
  }
  let next = FIRST_TABLE;
  for (const path of homeless) {
    while (taken.has(next)) next++;
    if (!isPathTable(next)) break;
    uses.set(path.address, { table: next, own: true });
    taken.add(next);
  }
  return uses;
}

/** An address whose link lost its carrier keeps what it has: its packets must not leave by another uplink. */
function isHeld(path: HostPath, view: HostView): boolean {
  return (
    path.cause === 'no-carrier' &&
    path.defaultRoute !== undefined &&
    view.rules.some((rule) => isRuleFor(rule, path))
  );
}

const metricOf = (route: Route) => route.priority ?? 0;

/** Main-table routes with a destination, of one family; for equal destinations the preferred one only. */
function specificRoutes(path: HostPath, view: HostView): Route[] {
  const best = new Map<string, Route>();
  for (const route of view.routes) {
    if (route.family !== path.family || route.table !== RT_TABLE_MAIN) continue;
    if (route.destination === undefined || route.destination.length === 0) continue;
    if (route.source !== undefined) continue;
    const key = keyOf(route.destination);
    const known = best.get(key);
    const direct = isDirect(route, path);
    // The path's own subnet goes before the same subnet on another link.
    const better =
      known === undefined ||
      (direct && !isDirect(known, path)) ||
      (direct === isDirect(known, path) && metricOf(route) < metricOf(known));
    if (better) best.set(key, route);
  }
  return [...best.values()];
}

function isDirect(route: Route, path: HostPath): boolean {
  return route.type === RTN_UNICAST && route.gateway === undefined && route.linkIndex === path.linkIndex;
}

function bySize(a: RouteSpec, b: RouteSpec): number {
  const [first, second] = [a.destination!, b.destination!];
  return second.length - first.length || (first.address < second.address ? -1 : 1);
}

function routesOf(path: HostPath, table: number, view: HostView): RouteSpec[] {
  const { family, linkIndex } = path;
  const priority = family === AF_INET ? 0 : IPV6_METRIC;
  const common = { family, table, protocol: RTPROT_WEFT, priority };
  const direct: RouteSpec[] = [];
  const detours: { readonly spec: RouteSpec; readonly subnet: boolean }[] = [];
  for (const route of specificRoutes(path, view)) {
    const destination = route.destination!;
    if (isDirect(route, path)) {
      const scope = family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
      direct.push({ ...common, type: RTN_UNICAST, destination, linkIndex, scope, flags: 0 });
    } else {
      const spec = { ...common, type: RTN_THROW, destination, scope: RT_SCOPE_UNIVERSE, flags: 0 };
      detours.push({ spec, subnet: hopsOf(route).some((hop) => hop.gateway === undefined) });
    }
  }
  detours.sort((a, b) => Number(b.subnet) - Number(a.subnet) || bySize(a.spec, b.spec));
  const kept = detours.slice(0, MAX_DETOURS).map((detour) => detour.spec);
  const gateway = path.defaultRoute?.gateway;
  const reached =
    gateway === undefined || direct.some((route) => inPrefix(gateway, route.destination!))
      ? 0
      : RTNH_F_ONLINK;
  const out: RouteSpec = {
    ...common,
    type: RTN_UNICAST,
    linkIndex,
    flags: reached,
    // A route without gateway reaches no farther than the link, in the kernel's book-keeping for IPv4.
    scope: gateway === undefined && family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
    ...(gateway === undefined ? {} : { gateway }),
  };
  return [...direct.sort(bySize), ...kept, out];
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
  for (const path of routed) {
    const use = tables.get(path.address);
    if (use === undefined || !use.own) continue;
    routes.push(...routesOf(path, use.table, view));
    rules.push({
      family: path.family,
      priority: RULE_PRIORITY,
      source: hostPrefix(path.address),
      table: use.table,
      protocol: RTPROT_WEFT,
    });
  }
  return { routes, rules, tables };
}
