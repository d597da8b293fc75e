/**
 * The addresses of this host that subflows may begin at (pure), out of the links that are up.
 */
import { isLinkLocal, isLoopback } from '../../base/index.ts';
import type { PluginAddress, PluginInterface } from '../plugin-api.ts';
import type { LocalAddress } from './subflow-plan.ts';

/** <linux/if.h> */
const IFF_LOOPBACK = 8;
/** IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE of <linux/if_addr.h>. */
const UNUSABLE = 0x08 | 0x20 | 0x40;
const RT_SCOPE_LINK = 253;

function isUsable(link: PluginInterface, { address, flags, scope }: PluginAddress): boolean {
  if ((link.flags & IFF_LOOPBACK) !== 0 || isLoopback(address)) return false;
  // From a link-local address only the link's own neighbours can be reached, and those over one path.
  return scope < RT_SCOPE_LINK && !isLinkLocal(address) && (flags & UNUSABLE) === 0;
}

/** In the order of the links; an address that stands on two of them counts for the first. */
export function localAddresses(links: readonly PluginInterface[]): LocalAddress[] {
  const found = new Map<string, LocalAddress>();
  for (const link of links) {
    for (const entry of link.addresses) {
      if (found.has(entry.address)) continue;
      found.set(entry.address, {
        address: entry.address,
        linkIndex: link.index,
        linkName: link.name,
        usable: isUsable(link, entry),
      });
    }
  }
  return [...found.values()];
}
