/**
 * The host's uplinks for the appliance (pure), out of what routing knows of its paths: one for each link, with the
 * way out of each IP version. While a VPN carries the host's traffic it is the only one, because whoever has one
 * wants his traffic inside of it.
 */
import { isApplianceRoute, isApplianceRule, TAP_NAMES, type HostUplink } from '../../appliance/index.ts';
import { AF_INET, AF_INET6, type Family } from '../../base/index.ts';
import {
  findPaths,
  tunnelOfDefaultTraffic,
  type HostPath,
  type HostPaths,
  type HostView,
  type LinkChoice,
} from '../../routing/index.ts';

/** The host as it would be without the appliance: its copies of default routes are no reason to call a link usable. */
export function withoutAppliance(view: HostView): HostView {
  const links = view.links.filter(({ name }) => !TAP_NAMES.includes(name));
  const present = new Set(links.map(({ index }) => index));
  return {
    links,
    addresses: view.addresses.filter(({ linkIndex }) => present.has(linkIndex)),
    routes: view.routes.filter(
      (route) => !isApplianceRoute(route) && (route.linkIndex === undefined || present.has(route.linkIndex)),
    ),
    rules: view.rules.filter((rule) => !isApplianceRule(rule)),
  };
}

/** The preferred usable path of a family. */
function bestOf(paths: readonly HostPath[], family: Family): HostPath | undefined {
  return paths
    .filter((path) => path.family === family && path.state === 'usable')
    .toSorted((a, b) => (a.defaultRoute?.metric ?? 0) - (b.defaultRoute?.metric ?? 0))[0];
}

const hopOf = (path: HostPath) =>
  path.defaultRoute?.gateway === undefined ? {} : { gateway: path.defaultRoute.gateway };

export interface FoundUplinks {
  readonly found: HostPaths;
  /** The most important first. */
  readonly uplinks: readonly HostUplink[];
  /** The name of a VPN that carries the host's traffic. */
  readonly vpn?: string;
}

/** @param view as `withoutAppliance` gives it */
export function findUplinks(view: HostView, choice: LinkChoice, backup: readonly string[]): FoundUplinks {
  const vpn = tunnelOfDefaultTraffic(view, choice);
  const found = findPaths(view, vpn === undefined ? choice : { ...choice, interfaces: [vpn.name] });
  const byLink = new Map<string, HostPath[]>();
  for (const path of found.paths) byLink.set(path.linkName, [...(byLink.get(path.linkName) ?? []), path]);
  const uplinks: HostUplink[] = [];
  for (const [linkName, paths] of byLink) {
    const link = view.links.find(({ name }) => name === linkName);
    if (link === undefined) continue;
    const [ipv4, ipv6] = [bestOf(paths, AF_INET), bestOf(paths, AF_INET6)];
    const metrics = paths.flatMap((path) => path.defaultRoute?.metric ?? []);
    uplinks.push({
      linkName,
      linkIndex: link.index,
      mtuBytes: link.mtuBytes,
      usable: ipv4 !== undefined || ipv6 !== undefined,
      ...(ipv4 === undefined ? {} : { ipv4: hopOf(ipv4) }),
      ...(ipv6 === undefined ? {} : { ipv6: hopOf(ipv6) }),
      metric: metrics.length === 0 ? 0 : Math.min(...metrics),
      backup: backup.includes(linkName),
    });
  }
  return { found, uplinks, ...(vpn === undefined ? {} : { vpn: vpn.name }) };
}
