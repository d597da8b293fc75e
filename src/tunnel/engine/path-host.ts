/**
 * What the host has for a path at this moment: the address its socket is bound to, its link, its gateway (a reading of
 * the link view; changes nothing).
 */
import type { PathConfig } from '../config/model.ts';
import { unspecified } from '../config/section-reader.ts';
import { findGateway, type PathGateway } from '../host/gateway.ts';
import type { LinkView } from '../host/link-view.ts';
import { pathLocalAddress } from '../host/local-address.ts';

export interface PathHost {
  /** What the socket is bound to; unspecified where there is no address at present. */
  readonly localAddress: string;
  /** Whether the host has that address now. */
  readonly isPresent: boolean;
  /** The path's link carries, and the address is there: packets can leave. */
  readonly isUp: boolean;
  /** Absent: there is no such link. */
  readonly linkIndex?: number;
  readonly linkName: string;
  /** Whether packets are to leave through that link whatever the routes say: it has the path's address. */
  readonly isTied: boolean;
  readonly linkMtu: number;
  readonly gateway: PathGateway;
}

/** Of a link that is not there. */
const MTU_DEFAULT = 1500;

/** Asks the kernel for the gateway of a link's default route (host/gateway.ts). */
export type DefaultGatewayLookup = (linkIndex: number, ipVersion: 4 | 6) => string | undefined;

/**
 * @param remoteAddress where the peer is now
 * A path whose interface does not exist is judged by the link that has its address, if there is one.
 */
export function readPathHost(
  config: PathConfig,
  remoteAddress: string,
  view: LinkView,
  lookUp: DefaultGatewayLookup,
): PathHost {
  const { ipVersion } = config;
  const local = pathLocalAddress(config, view);
  const holder = local.isPresent ? view.linkOfAddress(local.address) : undefined;
  const link = view.link(config.interfaceName) ?? holder;
  const needsDefault = config.gatewayAddress === unspecified(ipVersion) && link?.isUp === true;
  const gateway = findGateway(
    { ipVersion, remoteAddress, gatewayAddress: config.gatewayAddress },
    link,
    local.address,
    needsDefault ? lookUp(link.index, ipVersion) : undefined,
  );
  const isTied = link !== undefined && link.addresses.some((own) => own.address === local.address);
  return {
    localAddress: local.address,
    isPresent: local.isPresent,
    isUp: link?.isRunning === true && local.isPresent,
    ...(link !== undefined && { linkIndex: link.index }),
    linkName: link?.name ?? config.interfaceName,
    isTied,
    linkMtu: link?.mtuBytes ?? MTU_DEFAULT,
    gateway,
  };
}
