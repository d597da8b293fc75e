/**
 * Which routes a tunnel needs (pure): one to each path's remote address through that path's own interface, one to each
 * peer's tunnel address and one for each network behind a peer through the tunnel. Not here: who makes them
 * (tunnel-routes.ts), and which gateway a path has (gateway.ts).
 *
 * A network 0.0.0.0/0 becomes two routes of half the Internet each, as VPNs do: they are taken before the host's own
 * default route, which stays untouched, and paths keep finding it by their interface.
 */
import { inPrefix, isIpv6, networkOf, type Prefix } from '../../base/index.ts';
import type { NetworkConfig } from '../config/model.ts';

/** `path`: to a path's remote address. `resolver`: to the server that is asked for the public address. */
export type RouteKind = 'path' | 'resolver' | 'peer' | 'network';

export interface WantedRoute {
  readonly kind: RouteKind;
  readonly destination: Prefix;
  readonly linkIndex: number;
  /** Name of the link, for messages. */
  readonly linkName: string;
  readonly gateway?: string;
  readonly mtuBytes?: number;
  readonly preferredSource?: string;
}

/** What routes need to know of a path. */
export interface RoutedPath {
  readonly interfaceName: string;
  /** Absent: there is no such link, or it is switched off; then no route. */
  readonly linkIndex?: number;
  /** 0.0.0.0 or ::, not known: no route. */
  readonly remoteAddress: string;
  /** As `findGateway` says; absent: the remote is reached directly. */
  readonly gateway?: string;
  /**
   * The path's socket, tied to its link, reaches the remote without a route (`findsWayAlone`), and a peer named that
   * remote: no route then, which would be everybody's on this host.
   */
  readonly isLeftAlone?: boolean;
  /** A server in the Internet that this path asks for its public address at present. */
  readonly resolver?: string;
}

export interface RoutedConnection {
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly paths: readonly RoutedPath[];
  readonly networks: readonly NetworkConfig[];
  /** Where it is smaller than the tunnel's own. */
  readonly mtuBytes?: number;
}

export interface RoutedTunnel {
  readonly name: string;
  readonly linkIndex: number;
  readonly ipv4?: Prefix;
  readonly ipv6?: Prefix;
}

const hostPrefix = (address: string): Prefix => ({ address, length: isIpv6(address) ? 128 : 32 });

const isGiven = (address: string) => address !== '0.0.0.0' && address !== '::';

/** Half the Internet each, so that both stand before any default route. */
function halves({ address, length }: Prefix): Prefix[] {
  if (length > 0) return [{ address: networkOf(address, length), length }];
  return isIpv6(address)
    ? [
        { address: '::', length: 1 },
        { address: '8000::', length: 1 },
      ]
    : [
        { address: '0.0.0.0', length: 1 },
        { address: '128.0.0.0', length: 1 },
      ];
}

function routesOfPath(path: RoutedPath): WantedRoute[] {
  const { gateway, interfaceName, isLeftAlone = false, linkIndex, remoteAddress, resolver } = path;
  if (linkIndex === undefined) return [];
  const through = { linkIndex, linkName: interfaceName, ...(gateway === undefined ? {} : { gateway }) };
  const routes: WantedRoute[] = [];
  if (isGiven(remoteAddress) && !isLeftAlone) {
    routes.push({ kind: 'path', destination: hostPrefix(remoteAddress), ...through });
  }
  if (resolver !== undefined) {
    routes.push({ kind: 'resolver', destination: hostPrefix(resolver), ...through });
  }
  return routes;
}

function routesOfPeer(connection: RoutedConnection, tunnel: RoutedTunnel): WantedRoute[] {
  const { localAddress, mtuBytes, networks, remoteAddress } = connection;
  const own = [tunnel.ipv4, tunnel.ipv6].some((prefix) => prefix?.address === localAddress);
  const through = {
    linkIndex: tunnel.linkIndex,
    linkName: tunnel.name,
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
  };
  // What this host itself sends has to come from the connection's address, or it belongs to no connection.
  const from = (destination: Prefix) =>
    own && isIpv6(destination.address) === isIpv6(localAddress) ? { preferredSource: localAddress } : {};
  const routes: WantedRoute[] = [];
  if (isGiven(remoteAddress)) {
    const destination = hostPrefix(remoteAddress);
    routes.push({ kind: 'peer', destination, ...through, ...from(destination) });
  }
  for (const network of networks) {
    for (const destination of halves(network.destination)) {
      routes.push({ kind: 'network', destination, ...through, ...from(destination) });
    }
  }
  return routes;
}

const keyOf = (route: WantedRoute) =>
  `${route.destination.address}/${route.destination.length} ${route.linkIndex} ${route.gateway ?? ''}`;

/** In the order in which they are to be made; none twice. */
export function wantedRoutes(
  tunnel: RoutedTunnel,
  connections: readonly RoutedConnection[],
): readonly WantedRoute[] {
  const wanted = new Map<string, WantedRoute>();
  const add = (routes: readonly WantedRoute[]) => {
    for (const route of routes) if (!wanted.has(keyOf(route))) wanted.set(keyOf(route), route);
  };
  // A path's route stands before the routes that could capture its packets.
  for (const { paths } of connections) for (const path of paths) add(routesOfPath(path));
  for (const connection of connections) add(routesOfPeer(connection, tunnel));
  return [...wanted.values()];
}

/** Whether an address is behind this link without a gateway. */
export const isOnLink = (address: string, prefixes: readonly Prefix[]): boolean =>
  prefixes.some((prefix) => inPrefix(address, prefix));
