/**
 * The owner of a tunnel's routes: brings the kernel's main table to what is wanted (plan-routes.ts), as often as it is
 * asked to, and removes exactly what it made. Routes carry RTPROT_WEFT, and stand in the journal before they stand in
 * the kernel; a route of that protocol that is not in the journal is another tunnel's.
 *
 * Invariants: a route of others is never removed or replaced; `apply` twice changes nothing the second time; routes
 * that the kernel dropped (link down, address gone) come back with the next `apply`.
 */
import { readFileSync } from 'node:fs';
import { isIpv6 } from '../../base/index.ts';
import {
  EADDRNOTAVAIL,
  EEXIST,
  EHOSTUNREACH,
  EINVAL,
  ENETUNREACH,
  ENODEV,
  inNamespace,
  ESRCH,
} from '../../native/index.ts';
import {
  NetlinkError,
  RT_TABLE_MAIN,
  RTNH_F_ONLINK,
  RTPROT_WEFT,
  type Route,
  type RouteNetlink,
  type RouteSpec,
} from '../../netlink/index.ts';
import type { HostLedger, OwnedRoute } from './host-journal.ts';
import type { WantedRoute } from './plan-routes.ts';

/** The kernel's own default for IPv6; IPv4's is none. */
const METRIC_V4 = 0;
const METRIC_V6 = 1024;
/** BOUNDED: how many routes to one address may stand before a path's. */
const METRIC_TRIES = 32;
const ENETDOWN = 100;

/** The link is not ready; a change of it brings the next `apply`. */
const NOT_NOW: ReadonlySet<number> = new Set([ENETDOWN, ENODEV, EADDRNOTAVAIL]);

export interface RoutesOutcome {
  /** Every route that is wanted and cannot be had, or stands behind one of others; in words. */
  readonly problems: readonly string[];
  /** Those that the last `apply` did not tell. */
  readonly news: readonly string[];
  readonly added: number;
  readonly removed: number;
}

const lengthText = (route: { readonly destination: { address: string; length: number } }) =>
  `${route.destination.address}/${route.destination.length}`;

const keyOf = (route: OwnedRoute) =>
  `${lengthText(route)} ${route.metric} ${route.linkIndex} ${route.gateway ?? ''}`;

function ownedOf(route: Route): OwnedRoute | undefined {
  const { destination, gateway, linkIndex, priority = 0 } = route;
  if (destination === undefined || linkIndex === undefined) return undefined;
  return { destination, linkIndex, metric: priority, ...(gateway === undefined ? {} : { gateway }) };
}

/** Of one destination and metric there is one route. */
const placeOf = (route: OwnedRoute) => `${lengthText(route)} ${route.metric}`;

const baseMetric = (wish: WantedRoute) => (isIpv6(wish.destination.address) ? METRIC_V6 : METRIC_V4);

/** The wish with the first metric from `from` on that no own route has. */
function routeFor(wish: WantedRoute, taken: ReadonlySet<string>, from: number): OwnedRoute {
  const { destination, gateway, linkIndex } = wish;
  const route = { destination, linkIndex, ...(gateway === undefined ? {} : { gateway }) };
  let metric = from;
  while (taken.has(placeOf({ ...route, metric }))) metric++;
  return { ...route, metric };
}

const specOf = (route: OwnedRoute): RouteSpec => ({
  destination: route.destination,
  table: RT_TABLE_MAIN,
  protocol: RTPROT_WEFT,
  linkIndex: route.linkIndex,
  priority: route.metric,
  ...(route.gateway === undefined ? {} : { gateway: route.gateway }),
});

interface PresentRoute {
  readonly route: OwnedRoute;
  readonly shown: Route;
}

/** Where to and by which door, whatever the metric. */
const wayOf = (route: Pick<OwnedRoute, 'destination' | 'linkIndex' | 'gateway'>) =>
  `${lengthText(route)} ${route.linkIndex} ${route.gateway ?? ''}`;

const STRICT = 1;

/**
 * Whether the kernel drops what comes in by a link that is not the one it would answer by (RFC 3704). The larger of the
 * link's setting and that of all counts.
 */
function isStrict(linkName: string): boolean {
  const modes = ['all', linkName].map((name) => {
    try {
      return Number.parseInt(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, 'utf8'), 10);
    } catch {
      return 0;
    }
  });
  return Math.max(...modes) === STRICT;
}

export class TunnelRoutes {
  readonly #netlink: RouteNetlink;
  readonly #ledger: HostLedger;
  readonly #netns: string | undefined;
  #told: ReadonlySet<string> = new Set();

  /**
   * Nothing happens before the first `apply`, which also removes what a killed process left.
   * @param netns file of the network namespace that `netlink` is in; default is this thread's own
   */
  constructor(netlink: RouteNetlink, ledger: HostLedger, netns?: string) {
    this.#netlink = netlink;
    this.#ledger = ledger;
    this.#netns = netns;
  }

  /**
   * Makes what is missing and removes what is not wanted any more. A refusal is told, not thrown.
   * @throws what the journal throws, before anything has changed; NetlinkError when the routes cannot be listed
   */
  apply(wanted: readonly WantedRoute[]): RoutesOutcome {
    const present = this.#present();
    const free = new Map<string, PresentRoute[]>();
    for (const item of present) {
      const key = wayOf(item.route);
      const same = free.get(key);
      if (same === undefined) free.set(key, [item]);
      else same.push(item);
    }
    const kept: OwnedRoute[] = [];
    const missing: WantedRoute[] = [];
    const changed: { readonly route: OwnedRoute; readonly wish: WantedRoute }[] = [];
    for (const wish of wanted) {
      const found = free.get(wayOf(wish))?.shift();
      if (found === undefined) {
        missing.push(wish);
        continue;
      }
      const { route, shown } = found;
      kept.push(route);
      const same = shown.mtuBytes === wish.mtuBytes && shown.preferredSource === wish.preferredSource;
      if (!same) changed.push({ route, wish });
    }
    const problems: string[] = [];
    const obsolete = [...free.values()].flat();
    // What could not be removed stays in the journal, for the next time.
    for (const { route } of obsolete) if (!this.#remove(route, problems)) kept.push(route);
    if (obsolete.length > 0 || this.#ledger.routes.length !== kept.length) this.#ledger.setRoutes(kept);
    for (const { route, wish } of changed) this.#replace(route, wish, problems);
    const added = this.#addAll(missing, problems);
    problems.push(...this.#reversePathProblems(wanted));
    const news = problems.filter((text) => !this.#told.has(text));
    this.#told = new Set(problems);
    return { problems, news, added, removed: obsolete.length };
  }

  /** Removes everything that is owned. */
  removeAll(): RoutesOutcome {
    return this.apply([]);
  }

  /** The owned routes that the kernel has now. */
  #present(): PresentRoute[] {
    if (this.#ledger.routes.length === 0) return [];
    const owned = new Set(this.#ledger.routes.map(keyOf));
    return this.#netlink.routes({ table: RT_TABLE_MAIN, protocol: RTPROT_WEFT }).flatMap((shown) => {
      const route = ownedOf(shown);
      return route !== undefined && owned.has(keyOf(route)) ? { route, shown } : [];
    });
  }

  /** Whether it is gone. */
  #remove(route: OwnedRoute, problems: string[]): boolean {
    try {
      this.#netlink.deleteRoute(specOf(route));
      return true;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      // Gone by itself, with its link or address.
      if (error.errno === ESRCH || error.errno === ENODEV) return true;
      problems.push(error.message);
      return false;
    }
  }

  #replace(route: OwnedRoute, wish: WantedRoute, problems: string[]): void {
    try {
      this.#netlink.addRoute(this.#specOf(wish, route.metric), { replace: true });
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      problems.push(error.message);
    }
  }

  #specOf(wish: WantedRoute, metric: number): RouteSpec {
    const { mtuBytes, preferredSource } = wish;
    return {
      ...specOf({ ...wish, metric }),
      ...(mtuBytes === undefined ? {} : { mtuBytes }),
      ...(preferredSource === undefined ? {} : { preferredSource }),
    };
  }

  /** All of them stand in the journal before the first is made: one writing, however many there are. */
  #addAll(wishes: readonly WantedRoute[], problems: string[]): number {
    if (wishes.length === 0) return 0;
    const taken = new Set(this.#ledger.routes.map(placeOf));
    const intended = wishes.map((wish) => {
      const route = routeFor(wish, taken, baseMetric(wish));
      taken.add(placeOf(route));
      return route;
    });
    const before = this.#ledger.routes;
    this.#ledger.setRoutes([...before, ...intended]);
    const made: OwnedRoute[] = [];
    const occupied: { readonly wish: WantedRoute; readonly metric: number }[] = [];
    for (const [index, wish] of wishes.entries()) {
      const route = intended[index]!;
      const refusal = this.#tryAdd(this.#specOf(wish, route.metric));
      if (refusal === undefined) made.push(route);
      else if (refusal.errno === EEXIST) occupied.push({ wish, metric: route.metric });
      else if (!NOT_NOW.has(refusal.errno)) problems.push(`${refusal.message} on "${wish.linkName}"`);
    }
    if (made.length < wishes.length) this.#ledger.setRoutes([...before, ...made]);
    for (const { metric, wish } of occupied) {
      if (this.#addBehind(wish, metric + 1, problems)) made.push(this.#ledger.routes.at(-1)!);
    }
    return made.length;
  }

  /** A path's route may stand behind others to the same address: its socket asks for its own link's. */
  #addBehind(wish: WantedRoute, firstMetric: number, problems: string[]): boolean {
    const before = this.#ledger.routes;
    const taken = new Set(before.map(placeOf));
    const isPath = wish.kind === 'path' || wish.kind === 'resolver';
    const last = isPath ? baseMetric(wish) + METRIC_TRIES : -1;
    for (let metric = firstMetric; metric < last; metric++) {
      const route = routeFor(wish, taken, metric);
      metric = route.metric;
      this.#ledger.setRoutes([...before, route]);
      const refusal = this.#tryAdd(this.#specOf(wish, metric));
      if (refusal === undefined) return true;
      this.#ledger.setRoutes(before);
      if (refusal.errno === EEXIST) continue;
      if (!NOT_NOW.has(refusal.errno)) problems.push(`${refusal.message} on "${wish.linkName}"`);
      return false;
    }
    problems.push(
      `route ${lengthText(wish)} on "${wish.linkName}": there is a route of others to the same destination (EEXIST) — it stays, and decides where these packets go`,
    );
    return false;
  }

  /** A path whose remote address is reached by another link first hears nothing under a strict filter. */
  #reversePathProblems(wanted: readonly WantedRoute[]): string[] {
    const behind = new Set(
      this.#ledger.routes.flatMap((route) =>
        route.metric > METRIC_V4 && !isIpv6(route.destination.address) ? [wayOf(route)] : [],
      ),
    );
    const suspects = wanted.filter((wish) => wish.kind === 'path' && behind.has(wayOf(wish)));
    if (suspects.length === 0) return [];
    const judge = () => suspects.filter((wish) => isStrict(wish.linkName));
    const strict = this.#netns === undefined ? judge() : inNamespace(this.#netns, judge);
    return strict.map(
      (wish) =>
        `path to ${wish.destination.address} on "${wish.linkName}": the kernel drops what comes in there, because another link leads to that address first and the reverse path filter is strict — set net.ipv4.conf.${wish.linkName}.rp_filter to 2`,
    );
  }

  #tryAdd(spec: RouteSpec): NetlinkError | undefined {
    try {
      this.#netlink.addRoute(spec);
      return undefined;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      const unreachable = [ENETUNREACH, EHOSTUNREACH, EINVAL].includes(error.errno);
      if (!unreachable || spec.gateway === undefined || spec.flags !== undefined) return error;
      // A gateway outside of the link's subnets, as providers of virtual machines give: it is there all the same.
      return this.#tryAdd({ ...spec, flags: RTNH_F_ONLINK });
    }
  }
}
