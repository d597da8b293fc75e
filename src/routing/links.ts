/**
 * Which links can be uplinks at all (pure): by kind, by what they belong to, by what the user named. Not here:
 * whether a link works at this moment, which is paths.ts's question.
 *
 * Kinds are those of IFLA_INFO_KIND; hardware has none. A veth is judged by its routes like hardware, because the
 * uplinks of containers and of namespaces are veths; the other end of a container's veth is a bridge's port, or
 * has no default route, and falls out by that.
 */
import { IFF_LOOPBACK, IFF_UP, RTN_UNICAST, type Link, type Route } from '../netlink/index.ts';
import type { HostView, LinkChoice } from './host.ts';
import { isOwnRoute } from './numbers.ts';

/** Links with no network behind them. */
const HOLLOW_KINDS: ReadonlySet<string> = new Set([
  'dummy',
  'ifb',
  'nlmon',
  'vrf',
  'netdevsim',
  'vcan',
  'vxcan',
]);

/** What such a link sends leaves through another link, so it is no path of its own. */
const TUNNEL_KINDS: ReadonlySet<string> = new Set([
  'amt',
  'bareudp',
  'erspan',
  'geneve',
  'gre',
  'gretap',
  'gtp',
  'ip6erspan',
  'ip6gre',
  'ip6gretap',
  'ip6tnl',
  'ipip',
  'ovpn',
  'sit',
  'tun',
  'vti',
  'vti6',
  'vxlan',
  'wireguard',
  'xfrm',
]);

/** How container engines and hypervisors name the bridges they make. */
const HELPER_BRIDGE =
  /^(docker|br-[0-9a-f]{12}$|virbr|lxcbr|lxdbr|incusbr|cni|cbr|podman|waydroid|vmnet|kube)/;

/** Ports that lead to a container or a virtual machine of this host. */
const INNER_PORT_KINDS: ReadonlySet<string> = new Set(['veth', 'tun', 'dummy', 'ifb', 'vxlan']);

function isTunnel(link: Link): boolean {
  return link.kind !== undefined && TUNNEL_KINDS.has(link.kind);
}

/** The next hops of a route as (link, gateway) pairs, whether it has one or several. */
export function hopsOf(route: Route): readonly { readonly linkIndex: number; readonly gateway?: string }[] {
  if (route.nextHops !== undefined) return route.nextHops;
  const { gateway, linkIndex } = route;
  if (linkIndex === undefined) return [];
  return [gateway === undefined ? { linkIndex } : { linkIndex, gateway }];
}

export function isDefault(route: Route): boolean {
  return route.destination === undefined || route.destination.length === 0;
}

function hasDefaultRoute(view: HostView, linkIndex: number): boolean {
  return view.routes.some(
    (route) =>
      route.type === RTN_UNICAST &&
      isDefault(route) &&
      !isOwnRoute(route) &&
      hopsOf(route).some((hop) => hop.linkIndex === linkIndex),
  );
}

function whyBridgeIsIgnored(bridge: Link, view: HostView): string | undefined {
  if (HELPER_BRIDGE.test(bridge.name)) return 'bridge for containers or virtual machines';
  if (!hasDefaultRoute(view, bridge.index)) return 'bridge without a default route';
  const ports = view.links.filter((link) => link.masterIndex === bridge.index);
  const inner = ports.every((port) => port.kind !== undefined && INNER_PORT_KINDS.has(port.kind));
  return inner ? 'bridge without a port to the outside' : undefined;
}

/** Why a link is no uplink, in words for the user; `undefined` when it can be one. */
export function whyIgnored(link: Link, view: HostView, choice: LinkChoice = {}): string | undefined {
  const { interfaces = [], exclude = [] } = choice;
  if ((link.flags & IFF_LOOPBACK) !== 0) return 'loopback';
  if (exclude.includes(link.name)) return 'left out by --exclude';
  // What the user names is used, whatever it looks like.
  if (interfaces.length > 0) return interfaces.includes(link.name) ? undefined : 'not among --interface';
  if (link.masterIndex !== undefined) {
    const master = view.links.find((other) => other.index === link.masterIndex);
    return `port of "${master?.name ?? link.masterIndex}"`;
  }
  const { kind } = link;
  if (kind === undefined) return undefined;
  if (HOLLOW_KINDS.has(kind)) return `virtual link of kind ${kind}`;
  if (TUNNEL_KINDS.has(kind)) return `tunnel or VPN (${kind}); name it with --interface to use it`;
  if (kind === 'bridge') return whyBridgeIsIgnored(link, view);
  return undefined;
}

/**
 * The tunnel, if any, that carries what this host sends by default: its user wants traffic inside of it, and a
 * subflow on a bare link would go around it. A default route counts, and its disguises `0.0.0.0/1`, `::/1` and
 * `2000::/3`, in whichever table. Links that the user named are his decision.
 */
export function tunnelOfDefaultTraffic(view: HostView, choice: LinkChoice = {}): Link | undefined {
  if ((choice.interfaces ?? []).length > 0) return undefined;
  return view.links.find(
    (link) =>
      isTunnel(link) &&
      (link.flags & IFF_UP) !== 0 &&
      view.routes.some(
        (route) =>
          route.type === RTN_UNICAST &&
          (route.destination?.length ?? 0) <= (route.destination?.address.includes(':') === true ? 3 : 1) &&
          hopsOf(route).some((hop) => hop.linkIndex === link.index),
      ),
  );
}
