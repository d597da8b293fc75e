/**
 * What `mpt interface` and `mpt address` change on the host, by netlink. These are the user's commands: nothing of
 * them is taken back when the tunnel ends, as with `ip` itself.
 */
import { WeftError } from '../../base/index.ts';
import type { Link, RouteNetlink } from '../../netlink/index.ts';

/** As MPT has it, for either IP version. */
export const DEFAULT_PREFIX_LENGTH = 24;

function requireLink(netlink: RouteNetlink, name: string): Link {
  const link = netlink.linkByName(name);
  if (link !== undefined) return link;
  throw new WeftError(`there is no link "${name}"`, {
    code: 'NO_LINK',
    hint: 'the links of this host are listed by "ip link"',
  });
}

/** @throws WeftError NO_LINK; NetlinkError EPERM … */
export function setLinkUp(netlink: RouteNetlink, name: string, up: boolean): void {
  netlink.setLink(requireLink(netlink, name).index, { up });
}

export interface LinkAddress {
  readonly address: string;
  /** Default `DEFAULT_PREFIX_LENGTH`. */
  readonly prefixLength?: number;
  readonly link: string;
}

const specOf = (netlink: RouteNetlink, { address, link, prefixLength }: LinkAddress) => ({
  linkIndex: requireLink(netlink, link).index,
  address,
  prefixLength: prefixLength ?? DEFAULT_PREFIX_LENGTH,
});

/** @throws WeftError NO_LINK; NetlinkError EEXIST … */
export function addLinkAddress(netlink: RouteNetlink, address: LinkAddress): void {
  netlink.addAddress(specOf(netlink, address));
}

/** @throws WeftError NO_LINK; NetlinkError EADDRNOTAVAIL when the link has no such address */
export function deleteLinkAddress(netlink: RouteNetlink, address: LinkAddress): void {
  netlink.deleteAddress(specOf(netlink, address));
}
