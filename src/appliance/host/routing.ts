/**
 * Carries out what host-plan.ts wants of rules and routes, and owns them: they are known by their numbers
 * (numbers.ts), so that what a killed process left is taken over or removed without a record.
 */
import { AF_INET, errorText } from '../../base/index.ts';
import { EEXIST, ENOENT, ESRCH } from '../../native/index.ts';
import {
  NetlinkError,
  RTN_UNICAST,
  routeSpecOf,
  RTNH_F_ONLINK,
  type Route,
  type RouteNetlink,
  type RouteSpec,
  type Rule,
  type RuleSpec,
} from '../../netlink/index.ts';
import type { HostRouting } from './host-plan.ts';
import { isApplianceRoute, isApplianceRule } from './numbers.ts';

type AnyRoute = Pick<Route, 'family' | 'table' | 'destination' | 'type' | 'gateway' | 'linkIndex' | 'flags'>;

/** Two routes with the same key are the same to every packet. */
function routeKey(route: AnyRoute | RouteSpec): string {
  const { destination, family, gateway, linkIndex, table } = route;
  const type = route.type ?? RTN_UNICAST;
  const place = `${family} ${table} ${destination?.address ?? 'default'}/${destination?.length ?? 0} ${type}`;
  // The kernel shows IPv6 routes that lead nowhere with the loopback link.
  if (type !== RTN_UNICAST) return place;
  return `${place} ${gateway ?? ''} ${linkIndex} ${((route.flags ?? 0) & RTNH_F_ONLINK) !== 0}`;
}

function ruleKey(rule: Rule | RuleSpec): string {
  const plain = rule.source === undefined && rule.destination === undefined && rule.outputLink === undefined;
  return `${rule.family ?? AF_INET} ${rule.inputLink ?? ''} ${rule.table} ${plain}`;
}

function ruleSpecOf({ family, inputLink, priority, protocol, table }: Rule): RuleSpec {
  return { family, priority, table, protocol, ...(inputLink === undefined ? {} : { inputLink }) };
}

const isGone = (errno: number) => errno === ENOENT || errno === ESRCH;
const isThere = (errno: number) => errno === EEXIST;

export class ApplianceRouting {
  readonly #netlink: RouteNetlink;
  /** Rules and routes that were added or deleted. */
  changes = 0;

  /** @param netlink stays its owner's to close */
  constructor(netlink: RouteNetlink) {
    this.#netlink = netlink;
  }

  /** Makes rules and routes what is wanted. Goes on after a refusal. @returns what could not be done, for the user */
  apply(wanted: HostRouting): string[] {
    const failures: string[] = [];
    const attempt = (work: () => void, harmless: (errno: number) => boolean) => {
      try {
        work();
        this.changes++;
      } catch (error) {
        if (error instanceof NetlinkError && harmless(error.errno)) return;
        failures.push(errorText(error));
      }
    };
    const routes = this.#netlink.routes().filter(isApplianceRoute);
    const rules = this.#netlink.rules().filter(isApplianceRule);
    const wantedRoutes = new Map(wanted.routes.map((route) => [routeKey(route), route]));
    const wantedRules = new Map(wanted.rules.map((rule) => [ruleKey(rule), rule]));
    for (const rule of rules) {
      if (!wantedRules.has(ruleKey(rule))) attempt(() => this.#netlink.deleteRule(ruleSpecOf(rule)), isGone);
    }
    for (const route of routes) {
      if (!wantedRoutes.has(routeKey(route)))
        attempt(() => this.#netlink.deleteRoute(routeSpecOf(route)), isGone);
    }
    const presentRoutes = new Set(routes.map(routeKey));
    for (const [key, route] of wantedRoutes) {
      if (!presentRoutes.has(key)) attempt(() => this.#netlink.addRoute(route), isThere);
    }
    const presentRules = new Set(rules.map(ruleKey));
    for (const [key, rule] of wantedRules) {
      if (!presentRules.has(key)) attempt(() => this.#netlink.addRule(rule), isThere);
    }
    return failures;
  }

  /** Removes every rule and route of the appliance's, of this process or an earlier one. */
  removeAll(): string[] {
    return this.apply({ routes: [], rules: [] });
  }
}
