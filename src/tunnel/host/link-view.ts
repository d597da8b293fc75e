/**
 * The links of a host at one moment, as far as a tunnel cares (pure): are they there, do they carry, which addresses.
 * Who reads it: link-watch.ts.
 */
import { isIpv6, isLinkLocal, type Prefix } from '../../base/index.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_TEMPORARY,
  IFA_F_TENTATIVE,
  IFF_POINTOPOINT,
  IFF_RUNNING,
  IFF_UP,
  type InterfaceAddress,
  type Link,
} from '../../netlink/index.ts';
import type { IpVersion } from '../wire/data-header.ts';

export interface LinkState {
  readonly index: number;
  readonly name: string;
  /** Switched on. */
  readonly isUp: boolean;
  /** Switched on and carrying: cable in, radio in contact. */
  readonly isRunning: boolean;
  readonly isPointToPoint: boolean;
  readonly mtuBytes: number;
  /** In the kernel's order: the first of a subnet is its primary one. Without those that are not usable yet. */
  readonly addresses: readonly InterfaceAddress[];
}

const UNUSABLE = IFA_F_TENTATIVE | IFA_F_DADFAILED;

export class LinkView {
  readonly links: readonly LinkState[];
  readonly #byName: ReadonlyMap<string, LinkState>;

  constructor(links: readonly Link[], addresses: readonly InterfaceAddress[]) {
    // For IPv4 the flags of duplicate detection have no meaning.
    const usable = addresses.filter(
      (address) => !isIpv6(address.address) || (address.flags & UNUSABLE) === 0,
    );
    this.links = links.map((link) => ({
      index: link.index,
      name: link.name,
      isUp: (link.flags & IFF_UP) !== 0,
      isRunning: (link.flags & IFF_UP) !== 0 && (link.flags & IFF_RUNNING) !== 0,
      isPointToPoint: (link.flags & IFF_POINTOPOINT) !== 0,
      mtuBytes: link.mtuBytes,
      addresses: usable.filter((address) => address.linkIndex === link.index),
    }));
    this.#byName = new Map(this.links.map((link) => [link.name, link]));
  }

  /** `undefined`: there is no link of that name now. */
  link(name: string): LinkState | undefined {
    return this.#byName.get(name);
  }

  /** The link that has this address now. */
  linkOfAddress(address: string): LinkState | undefined {
    return this.links.find((link) => link.addresses.some((own) => own.address === address));
  }
}

/** The subnets of a link's addresses of this version. */
export function subnetsOf(link: LinkState, ipVersion: IpVersion): Prefix[] {
  return link.addresses
    .filter((own) => isIpv6(own.address) === (ipVersion === 6))
    .map((own) => ({ address: own.address, length: own.prefixLength }));
}

/** How good an address is as a path's own: stable global ones before temporary, ageing and link-local ones. */
function rank({ address, flags }: InterfaceAddress): number {
  if (isLinkLocal(address)) return 3;
  if ((flags & IFA_F_DEPRECATED) !== 0) return 2;
  return isIpv6(address) && (flags & IFA_F_TEMPORARY) !== 0 ? 1 : 0;
}

/** The address that a path without one of its own uses on this link; `undefined` when it has none of that version. */
export function firstAddress(link: LinkState, ipVersion: IpVersion): string | undefined {
  return link.addresses
    .filter((own) => isIpv6(own.address) === (ipVersion === 6))
    .toSorted((a, b) => rank(a) - rank(b))[0]?.address;
}
