/**
 * Through which gateway a path's remote address is reached (pure; the kernel's answer comes as an argument). The order:
 * what the configuration says; the remote is on the link itself; the interface's default route; the other end of a
 * point-to-point link; the first host of the subnet. MPT looks at the last two only, and at NetworkManager.
 */
import { AF_INET, AF_INET6, formatIp, networkOf, parseIp, type Prefix } from '../../base/index.ts';
import { NetlinkError, RTN_UNICAST, type Route, type RouteNetlink } from '../../netlink/index.ts';
import type { PathConfig } from '../config/model.ts';
import { unspecified } from '../config/section-reader.ts';
import { isOnLink } from './plan-routes.ts';
import { subnetsOf, type LinkState } from './link-view.ts';

export type GatewaySource = 'configured' | 'on-link' | 'default-route' | 'point-to-point' | 'subnet' | 'none';

export interface PathGateway {
  /** Absent: the remote is reached directly. */
  readonly gateway?: string;
  readonly source: GatewaySource;
  /** What status shows: the gateway, or the own address where there is none, as MPT's samples write it. */
  readonly shown: string;
}

/** Addresses that stand for "anywhere" (RFC 5737, RFC 3849): only a default route leads to them. */
const PROBES = { 4: '192.0.2.1', 6: '2001:db8::' } as const;

/**
 * The gateway of a link's default route, by one question to the kernel, however many routes there are.
 * `undefined`: no default route, or one without a gateway.
 */
export function lookUpDefaultGateway(
  netlink: RouteNetlink,
  linkIndex: number,
  ipVersion: 4 | 6,
): string | undefined {
  let route: Route;
  try {
    route = netlink.lookupRoute({
      destination: PROBES[ipVersion],
      outputLinkIndex: linkIndex,
      fibMatch: true,
    });
  } catch (error) {
    // The kernel has no such route; any other failure comes back at the next question.
    if (error instanceof NetlinkError) return undefined;
    throw error;
  }
  const family = ipVersion === 6 ? AF_INET6 : AF_INET;
  if (route.type !== RTN_UNICAST || (route.destination?.length ?? 0) > 0 || route.family !== family) {
    return undefined;
  }
  if (route.linkIndex === linkIndex) return route.gateway;
  return route.nextHops?.find((hop) => hop.linkIndex === linkIndex)?.gateway;
}

/**
 * Whether a socket that is tied to the link (IP_UNICAST_IF) reaches every remote address without a route of its own:
 * the kernel takes a link's own default route then, and without one takes everything for a neighbour.
 */
export const findsWayAlone = ({ gateway }: PathGateway, defaultGateway: string | undefined): boolean =>
  gateway === undefined || gateway === defaultGateway;

function firstHost(subnets: readonly Prefix[]): string | undefined {
  for (const { address, length } of subnets) {
    const network = parseIp(networkOf(address, length));
    if (network === undefined || length >= network.length * 8 - 1) continue;
    network[network.length - 1] = network[network.length - 1]! + 1;
    const host = formatIp(network);
    if (host !== address) return host;
  }
  return undefined;
}

const through = (gateway: string, source: GatewaySource): PathGateway => ({
  gateway,
  source,
  shown: gateway,
});

/**
 * @param link the path's interface; absent: there is none at present
 * @param localAddress what the path's socket is bound to
 * @param defaultGateway of that interface, as `lookUpDefaultGateway` says
 */
export function findGateway(
  path: Pick<PathConfig, 'ipVersion' | 'gatewayAddress' | 'remoteAddress'>,
  link: LinkState | undefined,
  localAddress: string,
  defaultGateway: string | undefined,
): PathGateway {
  const { gatewayAddress, ipVersion, remoteAddress } = path;
  const direct = (source: GatewaySource): PathGateway => ({ source, shown: localAddress });
  if (gatewayAddress !== unspecified(ipVersion)) {
    const isOwn =
      gatewayAddress === localAddress ||
      gatewayAddress === remoteAddress ||
      link?.addresses.some((own) => own.address === gatewayAddress) === true;
    return isOwn ? { source: 'configured', shown: gatewayAddress } : through(gatewayAddress, 'configured');
  }
  if (link === undefined) return direct('none');
  const subnets = subnetsOf(link, ipVersion);
  if (isOnLink(remoteAddress, subnets)) return direct('on-link');
  if (defaultGateway !== undefined) return through(defaultGateway, 'default-route');
  if (link.isPointToPoint) return direct('point-to-point');
  const host = firstHost(subnets);
  return host === undefined ? direct('none') : through(host, 'subnet');
}
