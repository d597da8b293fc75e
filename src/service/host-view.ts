/**
 * Reads the host's links, addresses, routes and rules, and judges the kernel's messages about them.
 *
 * The messages only say *that* something changed; what is so is read anew each time. A view kept up to date from
 * messages would be wrong: IPv4 routes that vanish with their link's end or their address are not announced, and a
 * replaced route is announced as a new one without a word about the old. Reading costs about a millisecond.
 */
import type { RouteEvent, RouteNetlink } from '../netlink/index.ts';
import { RT_TABLE_LOCAL } from '../netlink/index.ts';
import { isOwnRoute, isOwnRule, type HostView } from '../routing/index.ts';

export function readHostView(netlink: RouteNetlink): HostView {
  // Not one moment: what changes between these four is announced, and then looked at again.
  return {
    links: netlink.links(),
    addresses: netlink.addresses(),
    routes: netlink.routes(),
    rules: netlink.rules(),
  };
}

/**
 * `host`: something that decides about paths may have changed. `own`: it is one of Weft's own rules or routes, most
 * likely by Weft itself. `none`: it has no bearing.
 */
export type Bearing = 'host' | 'own' | 'none';

export function bearingOf(event: RouteEvent): Bearing {
  switch (event.kind) {
    case 'route':
      // The kernel keeps the local table in step with the addresses, which are announced themselves.
      if (event.route.table === RT_TABLE_LOCAL) return 'none';
      return isOwnRoute(event.route) ? 'own' : 'host';
    case 'rule':
      return isOwnRule(event.rule) ? 'own' : 'host';
    default:
      return 'host';
  }
}
