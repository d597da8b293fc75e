/**
 * What the kernel knows about the other end of one connection: the routes to it, the connection's own numbers, other
 * connections to the same place. Reads only.
 */
import { AF_INET6, errorText, inPrefix, isIpv6, unmapV4 } from '../../base/index.ts';
import { EndpointFlag, parseMptcpInfo, type MptcpInfo } from '../../mptcp/index.ts';
import {
  IFF_NOARP,
  IFF_POINTOPOINT,
  NetlinkError,
  SocketDiag,
  type RouteNetlink,
} from '../../netlink/index.ts';
import type { ObservedEvent } from '../observe/model.ts';
import type { ConnectionTally, HostFacts, LookupAnswer, LookupFact, PathFact } from './facts.ts';
import { PEER_EVENTS_MAX, type KernelConnection, type PeerFacts } from './peer-facts.ts';

/** Which connection. */
export interface PeerQuestion {
  readonly address: string;
  readonly port: number;
  /** Absent: it is plain TCP. */
  readonly token?: number;
  /** What an observer saw of it. */
  readonly events: readonly ObservedEvent[];
}

export interface MptcpSocketFact {
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly info: MptcpInfo;
}

/** Every MPTCP connection of the network namespace, without its subflows. UNBOUNDED: as many as the host has. */
export function readMptcpSockets(): MptcpSocketFact[] {
  const diag = SocketDiag.open();
  try {
    return diag.mptcpSockets().map(({ info, localAddress, remoteAddress, remotePort }) => ({
      localAddress: unmapV4(localAddress),
      remoteAddress: unmapV4(remoteAddress),
      remotePort,
      info: parseMptcpInfo(info ?? new Uint8Array(0)),
    }));
  } finally {
    diag.close();
  }
}

/** Pure. */
export function tallyOf(sockets: readonly MptcpSocketFact[]): ConnectionTally {
  const speaking = sockets.filter(({ info }) => info.fallback !== true);
  const several = speaking.filter(({ info }) => (info.subflows ?? 0) > 0);
  return {
    mptcp: speaking.length,
    fallbacks: sockets.length - speaking.length,
    several: several.length,
    atLimit: several.filter(({ info }) => (info.subflows ?? 0) >= (info.subflowsMax ?? Infinity)).length,
  };
}

/** Where the kernel would send a packet from a path's address, by its rules or bound to the path's link. */
export function lookUp(
  netlink: RouteNetlink,
  path: PathFact,
  destination: string,
  byLink: boolean,
): LookupAnswer {
  try {
    const route = netlink.lookupRoute({
      destination,
      source: path.address,
      ...(byLink ? { outputLinkIndex: path.linkIndex } : {}),
    });
    return {
      linkIndex: route.linkIndex ?? 0,
      ...(route.gateway === undefined ? {} : { gateway: route.gateway }),
    };
  } catch (error) {
    return { error: error instanceof NetlinkError ? error.code : errorText(error) };
  }
}

type Known = Pick<HostFacts, 'addresses' | 'endpoints' | 'links' | 'paths'>;

/** Paths to look from: the usable ones, and addresses of endpoints that are none, because they have no default route. */
function waysOut(
  { addresses = [], endpoints = [], links = [], paths = [] }: Known,
  family: number,
): PathFact[] {
  const isOfFamily = (address: string) => isIpv6(address) === (family === AF_INET6);
  const ways = paths.filter(({ address }) => isOfFamily(address));
  for (const { address, flags } of endpoints) {
    if ((flags & (EndpointFlag.implicit | EndpointFlag.signal)) !== 0 || !isOfFamily(address)) continue;
    if (ways.some((way) => way.address === address)) continue;
    const owner = addresses.find((candidate) => candidate.address === address);
    const link = links.find(({ index }) => index === owner?.linkIndex);
    if (link !== undefined) ways.push({ link: link.name, linkIndex: link.index, address });
  }
  return ways;
}

/** No gateway is needed to a neighbour, and none by a link that has nobody but the other end. */
function towards(path: PathFact, destination: string, { addresses = [], links = [] }: Known): PathFact {
  const isNeighbour = addresses.some(
    ({ address, linkIndex, prefixLength }) =>
      linkIndex === path.linkIndex &&
      isIpv6(address) === isIpv6(destination) &&
      inPrefix(destination, { address, length: prefixLength }),
  );
  const { address, link, linkIndex } = path;
  if (isNeighbour) return { address, link, linkIndex };
  const flags = links.find(({ index }) => index === linkIndex)?.flags ?? 0;
  const isDirect = (flags & (IFF_POINTOPOINT | IFF_NOARP)) !== 0;
  return path.gateway === undefined && !isDirect ? { ...path, needsGateway: true } : path;
}

function kernelConnectionOf(info: MptcpInfo): KernelConnection {
  const optional = {
    remoteKeyReceived: info.remoteKeyReceived,
    subflows: info.subflows,
    subflowsMax: info.subflowsMax,
    addressesAccepted: info.addAddrAccepted,
    addressesAcceptedMax: info.addAddrAcceptedMax,
    bytesAcked: info.bytesAcked,
    bytesReceived: info.bytesReceived,
  };
  const told = Object.entries(optional).filter(([, value]) => value !== undefined);
  return { fallback: info.fallback === true, ...(Object.fromEntries(told) as Partial<KernelConnection>) };
}

/** @param netlink absent where it could not be opened: there are no look-ups then */
export function collectPeer(
  question: PeerQuestion,
  known: Known,
  sockets: readonly MptcpSocketFact[],
  netlink: RouteNetlink | undefined,
): PeerFacts {
  const { events, port, token } = question;
  const address = unmapV4(question.address);
  const own = token === undefined ? undefined : sockets.find(({ info }) => info.token === token);
  const speaking = sockets.filter(
    (socket) =>
      socket !== own &&
      socket.remoteAddress === address &&
      socket.remotePort === port &&
      socket.info.fallback !== true &&
      socket.info.remoteKeyReceived === true,
  );
  const ways = isIpv6(address) ? waysOut(known, AF_INET6) : waysOut(known, 0);
  return {
    address,
    port,
    lookups:
      netlink === undefined
        ? []
        : ways.map((way): LookupFact => {
            const path = towards(way, address, known);
            const answer = (byLink: boolean) => lookUp(netlink, path, address, byLink);
            return { path, destination: address, bySource: answer(false), byLink: answer(true) };
          }),
    ...(own === undefined ? {} : { kernel: kernelConnectionOf(own.info) }),
    speaksMptcpFrom: [...new Set(speaking.map(({ localAddress }) => localAddress))],
    events: events.slice(-PEER_EVENTS_MAX),
  };
}
