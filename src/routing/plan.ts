/**
 * From what is wanted and what is present to the operations between them (pure).
 *
 * Order: routes are added, then rules, then rules are deleted, then routes; a packet therefore never meets a rule
 * whose table is still, or already, empty. Invariants: nothing is deleted or replaced that is not Weft's own; the
 * plan for a host that already is as wanted is empty.
 */
import {
  RTN_UNICAST,
  routeSpecOf,
  RTNH_F_ONLINK,
  type Route,
  type RouteSpec,
  type Rule,
  type RuleSpec,
} from '../netlink/index.ts';
import type { HostView } from './host.ts';
import { isOwnRoute, isOwnRule } from './numbers.ts';
import type { WantedRouting } from './wanted.ts';

export type RoutingOperation =
  | { readonly kind: 'add-route'; readonly route: RouteSpec }
  /** Another route of Weft's stands at the same place; the kernel exchanges the two at once. */
  | { readonly kind: 'replace-route'; readonly route: RouteSpec }
  | { readonly kind: 'add-rule'; readonly rule: RuleSpec }
  | { readonly kind: 'delete-rule'; readonly rule: RuleSpec }
  | { readonly kind: 'delete-route'; readonly route: RouteSpec };

type AnyRoute = Route | RouteSpec;
type AnyRule = Rule | RuleSpec;

const prefixText = (prefix: { address: string; length: number } | undefined) =>
  prefix === undefined || prefix.length === 0 ? 'default' : `${prefix.address}/${prefix.length}`;

/** Where the kernel keeps a route: two routes at one place are one. */
function routePlace(route: AnyRoute): string {
  return `${route.family} ${route.table} ${prefixText(route.destination)} ${route.priority ?? 0}`;
}

/** What a route does with a packet. The kernel shows IPv6 routes that lead nowhere with the loopback link. */
function routeEffect(route: AnyRoute): string {
  const type = route.type ?? RTN_UNICAST;
  if (type !== RTN_UNICAST) return String(type);
  const onLink = ((route.flags ?? 0) & RTNH_F_ONLINK) !== 0;
  return `${type} ${route.gateway ?? ''} ${route.linkIndex ?? ''} ${onLink}`;
}

function rulePlace(rule: AnyRule): string {
  return `${rule.family} ${rule.priority} ${prefixText(rule.source)} ${rule.table}`;
}

/** What Weft's rules consist of; anything more would be somebody's edit, and then the rule is made anew. */
function isPlain(rule: Rule): boolean {
  return (
    rule.destination === undefined &&
    rule.inputLink === undefined &&
    rule.outputLink === undefined &&
    rule.mark === undefined
  );
}

function ownRuleSpec(rule: Rule): RuleSpec {
  const { family, priority, source, destination, table, protocol, inputLink, outputLink } = rule;
  return {
    family,
    priority,
    table,
    protocol,
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
    ...(inputLink === undefined ? {} : { inputLink }),
    ...(outputLink === undefined ? {} : { outputLink }),
  };
}

export function planRouting(
  wanted: Pick<WantedRouting, 'routes' | 'rules'>,
  present: Pick<HostView, 'routes' | 'rules'>,
): RoutingOperation[] {
  const addRoutes: RoutingOperation[] = [];
  const addRules: RoutingOperation[] = [];
  const deleteRules: RoutingOperation[] = [];
  const deleteRoutes: RoutingOperation[] = [];

  const ownRoutes = present.routes.filter(isOwnRoute);
  const presentRoutes = new Map(ownRoutes.map((route) => [routePlace(route), route]));
  const wantedPlaces = new Set(wanted.routes.map(routePlace));
  for (const route of wanted.routes) {
    const there = presentRoutes.get(routePlace(route));
    if (there === undefined) addRoutes.push({ kind: 'add-route', route });
    else if (routeEffect(there) !== routeEffect(route)) addRoutes.push({ kind: 'replace-route', route });
  }
  for (const route of ownRoutes) {
    if (!wantedPlaces.has(routePlace(route))) {
      deleteRoutes.push({ kind: 'delete-route', route: routeSpecOf(route) });
    }
  }

  const ownRules = present.rules.filter(isOwnRule);
  const presentRules = new Set(ownRules.filter(isPlain).map(rulePlace));
  const wantedRules = new Set(wanted.rules.map(rulePlace));
  for (const rule of wanted.rules) {
    if (!presentRules.has(rulePlace(rule))) addRules.push({ kind: 'add-rule', rule });
  }
  for (const rule of ownRules) {
    if (!isPlain(rule) || !wantedRules.has(rulePlace(rule))) {
      deleteRules.push({ kind: 'delete-rule', rule: ownRuleSpec(rule) });
    }
  }
  return [...addRoutes, ...addRules, ...deleteRules, ...deleteRoutes];
}

/** One line for the log. */
export function describeOperation(operation: RoutingOperation): string {
  if (operation.kind === 'add-rule' || operation.kind === 'delete-rule') {
    const { source, table, priority } = operation.rule;
    return `${operation.kind.replace('-', ' ')} ${priority}: from ${prefixText(source)} lookup ${table}`;
  }
  const { destination, gateway, linkIndex, table, type } = operation.route;
  const way =
    type === RTN_UNICAST ? `${gateway === undefined ? '' : ` via ${gateway}`} link ${linkIndex}` : ' throw';
  return `${operation.kind.replace('-', ' ')} ${prefixText(destination)}${way} table ${table}`;
}
