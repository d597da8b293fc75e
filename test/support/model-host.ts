/**
 * A host made of plain data, for unit tests: builders for links, addresses, routes and rules as the kernel shows
 * them, and a model of how the kernel carries out routing operations, which refuses what the kernel would refuse.
 */
import { AF_INET, familyOf, inPrefix, networkOf, type Prefix } from '../../src/base/index.ts';
import {
  FR_ACT_TO_TBL,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_RUNNING,
  IFF_UP,
  RTN_UNICAST,
  RTPROT_KERNEL,
  RTPROT_STATIC,
  RTPROT_WEFT,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  type InterfaceAddress,
  type Link,
  type Route,
  type RouteSpec,
  type Rule,
  type RuleSpec,
} from '../../src/netlink/index.ts';
import type { HostView, RoutingOperation } from '../../src/routing/index.ts';

export const UP = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;

export function prefix(text: string): Prefix {
  const [ip = '', length = ''] = text.split('/');
  return { address: ip, length: Number(length) };
}

export function link(index: number, name: string, more: Partial<Link> = {}): Link {
  return { index, name, flags: UP, hardwareType: 1, mtuBytes: 1500, operationalState: 6, ...more };
}

export const loopback: Link = link(1, 'lo', { flags: UP | IFF_LOOPBACK, hardwareType: 772 });

export function address(
  linkIndex: number,
  text: string,
  more: Partial<InterfaceAddress> = {},
): InterfaceAddress {
  const { address: ip, length } = prefix(text);
  return { linkIndex, family: familyOf(ip), address: ip, prefixLength: length, scope: 0, flags: 0, ...more };
}

/** `default`, or a destination; with a gateway, or on-link. */
export function route(
  destination: string,
  linkIndex: number,
  more: Partial<Route> & { family?: 2 | 10 } = {},
): Route {
  const to = destination === 'default' ? undefined : prefix(destination);
  const family = more.family ?? familyOf(to?.address ?? more.gateway ?? '0.0.0.0');
  const direct = more.gateway === undefined;
  return {
    family,
    table: RT_TABLE_MAIN,
    protocol: direct ? RTPROT_KERNEL : RTPROT_STATIC,
    scope: direct && family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
    type: RTN_UNICAST,
    linkIndex,
    flags: 0,
    ...(to === undefined ? {} : { destination: to }),
    ...(family === AF_INET ? {} : { priority: direct ? 256 : 1024 }),
    ...more,
  };
}

export function rule(source: string, table: number, more: Partial<Rule> = {}): Rule {
  const from = prefix(source);
  return {
    family: familyOf(from.address),
    priority: 10_000,
    source: from,
    table,
    action: FR_ACT_TO_TBL,
    protocol: 0,
    ...more,
  };
}

export const NO_HOST: HostView = { links: [loopback], addresses: [], routes: [], rules: [] };

/** Adds a working uplink: link, address with its subnet's route, default route through the subnet's gateway. */
export function withUplink(
  view: HostView,
  index: number,
  name: string,
  text: string,
  gateway: string,
  metric = 100,
): HostView {
  const { address: ip, length } = prefix(text);
  const known = view.links.some((candidate) => candidate.index === index);
  return {
    ...view,
    links: known ? view.links : [...view.links, link(index, name)],
    addresses: [...view.addresses, address(index, text)],
    routes: [
      ...view.routes,
      route(`${networkOf(ip, length)}/${length}`, index),
      route('default', index, { gateway, priority: metric }),
    ],
  };
}

/** Two uplinks with both families: c1 (index 2) and c2 (index 3). */
export function twoUplinks(): HostView {
  let view = withUplink(NO_HOST, 2, 'c1', '10.1.0.2/24', '10.1.0.1', 100);
  view = withUplink(view, 3, 'c2', '10.2.0.2/24', '10.2.0.1', 200);
  view = withUplink(view, 2, 'c1', '2001:db8:1::2/64', '2001:db8:1::1', 100);
  return withUplink(view, 3, 'c2', '2001:db8:2::2/64', '2001:db8:2::1', 200);
}

const place = (item: Route | RouteSpec) =>
  `${item.family} ${item.table} ${item.destination === undefined ? '' : `${item.destination.address}/${item.destination.length}`} ${item.priority ?? 0}`;

const samePlace = (a: Route | RouteSpec, b: Route | RouteSpec) => place(a) === place(b);

function asRoute(spec: RouteSpec): Route {
  return {
    scope: 0,
    type: RTN_UNICAST,
    protocol: RTPROT_STATIC,
    flags: 0,
    ...spec,
    family: spec.family as 2 | 10,
  };
}

const sameRule = (a: Rule | RuleSpec, b: Rule | RuleSpec) =>
  a.family === b.family &&
  a.priority === b.priority &&
  a.table === b.table &&
  a.protocol === b.protocol &&
  a.source?.address === b.source?.address &&
  a.source?.length === b.source?.length;

function checkGateway(view: HostView, spec: RouteSpec): void {
  const { gateway } = spec;
  if (gateway === undefined || ((spec.flags ?? 0) & 4) !== 0) return;
  const direct = view.routes.some(
    (known) =>
      known.gateway === undefined &&
      known.linkIndex === spec.linkIndex &&
      known.destination !== undefined &&
      inPrefix(gateway, known.destination),
  );
  if (!direct) throw new Error(`model: gateway ${gateway} is not reachable (ENETUNREACH)`);
}

/** One operation as the kernel would do it. Throws where the kernel refuses, and when a foreign thing is touched. */
export function applyOperation(view: HostView, operation: RoutingOperation): HostView {
  switch (operation.kind) {
    case 'add-route':
      if (view.routes.some((known) => samePlace(known, operation.route))) throw new Error('model: EEXIST');
      checkGateway(view, operation.route);
      return { ...view, routes: [...view.routes, asRoute(operation.route)] };
    case 'replace-route': {
      const old = view.routes.find((known) => samePlace(known, operation.route));
      if (old === undefined) throw new Error('model: replaces nothing');
      if (old.protocol !== RTPROT_WEFT) throw new Error('model: replaces a foreign route');
      checkGateway(view, operation.route);
      const rest = view.routes.filter((known) => known !== old);
      return { ...view, routes: [...rest, asRoute(operation.route)] };
    }
    case 'delete-route': {
      const old = view.routes.find(
        (known) => samePlace(known, operation.route) && known.protocol === operation.route.protocol,
      );
      if (old === undefined) throw new Error('model: ESRCH');
      if (old.protocol !== RTPROT_WEFT) throw new Error('model: deletes a foreign route');
      return { ...view, routes: view.routes.filter((known) => known !== old) };
    }
    case 'add-rule': {
      if (view.rules.some((known) => sameRule(known, operation.rule))) throw new Error('model: EEXIST');
      const { family, protocol = 0, ...rest } = operation.rule;
      const added: Rule = { ...rest, family: family as 2 | 10, protocol, action: FR_ACT_TO_TBL };
      return { ...view, rules: [...view.rules, added] };
    }
    default: {
      const old = view.rules.find((known) => sameRule(known, operation.rule));
      if (old === undefined) throw new Error('model: ENOENT');
      if (old.protocol !== RTPROT_WEFT) throw new Error('model: deletes a foreign rule');
      return { ...view, rules: view.rules.filter((known) => known !== old) };
    }
  }
}

/** The link that a packet leaves by: rules in order of priority, then the main table; `undefined` without a route. */
export function wayOut(view: HostView, source: string, destination: string): number | undefined {
  const family = familyOf(source);
  const rules = view.rules
    .filter((item) => item.family === family && (item.source === undefined || inPrefix(source, item.source)))
    .toSorted((a, b) => a.priority - b.priority);
  for (const table of [...rules.map((item) => item.table), RT_TABLE_MAIN]) {
    const [best] = view.routes
      .filter(
        (item) =>
          item.family === family &&
          item.table === table &&
          (item.destination === undefined || inPrefix(destination, item.destination)),
      )
      .toSorted(
        (a, b) =>
          (b.destination?.length ?? 0) - (a.destination?.length ?? 0) ||
          (a.priority ?? 0) - (b.priority ?? 0),
      );
    if (best !== undefined && best.type === RTN_UNICAST) return best.linkIndex;
  }
  return undefined;
}
