/**
 * A TAP link of the host whose other end is a NIC of the guest. Weft makes it, gives it its addresses, and hands its
 * descriptor to QEMU; from then on it lives as long as QEMU has it open, and the kernel removes it, with addresses and
 * routes, when QEMU lets go, however that comes about.
 *
 * Invariant: a link of that name that exists already is never taken over.
 *
 * References: Documentation/networking/tuntap.rst.
 */
import { writeFileSync } from 'node:fs';
import { isIpv6, WeftError } from '../../base/index.ts';
import {
  closeFd,
  EACCES,
  EBUSY,
  ENOENT,
  EPERM,
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN_EXCL,
  IFF_VNET_HDR,
  inNamespace,
  linkIndexOf,
  openTunTap,
  SystemError,
} from '../../native/index.ts';
import { IFA_F_NODAD, type RouteNetlink } from '../../netlink/index.ts';
import { endsOf } from './prefixes.ts';
import type { SlotAddress } from './types.ts';

/** The guest is not believed: it configures nothing of the host. Each is gone with its link. */
const SETTINGS: readonly (readonly [string, string])[] = [
  ['ipv6/conf/LINK/accept_ra', '0'],
  ['ipv6/conf/LINK/accept_redirects', '0'],
  ['ipv4/conf/LINK/accept_redirects', '0'],
  ['ipv4/conf/LINK/send_redirects', '0'],
  // It is asked only for the link's own address, so that the guest learns nothing of the host's others.
  ['ipv4/conf/LINK/arp_ignore', '1'],
  // No link-local address but those that were given: less to hear.
  ['ipv6/conf/LINK/router_solicitations', '0'],
];

function explain(name: string, error: unknown): never {
  if (!(error instanceof SystemError)) throw error;
  if (linkIndexOf(name) !== undefined || error.errno === EBUSY) {
    throw new WeftError(`make the appliance's link "${name}": a link of that name exists already (EEXIST)`, {
      code: 'EEXIST',
      cause: error,
      hint: `remove it ("ip link delete ${name}") if nothing uses it`,
    });
  }
  const hint =
    error.errno === EPERM || error.errno === EACCES
      ? 'the appliance needs root, or the capability CAP_NET_ADMIN and access to /dev/net/tun'
      : 'the kernel has no TAP device: load the module "tun", or give this container /dev/net/tun';
  if (![EPERM, EACCES, ENOENT].some((errno) => errno === error.errno)) throw error;
  throw new WeftError(error.message, { code: error.code, cause: error, hint });
}

function openDevice(name: string): number {
  try {
    return openTunTap(name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
  } catch (error) {
    return explain(name, error);
  }
}

function applySettings(name: string): void {
  for (const [setting, value] of SETTINGS) {
    try {
      writeFileSync(`/proc/sys/net/${setting.replace('LINK', name)}`, value);
    } catch {
      // A kernel without IPv6, or a read-only /proc: the firewall stands all the same.
    }
  }
}

export interface TapOptions {
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
  readonly mtuBytes?: number;
}

/**
 * Makes the link with its addresses and switches it on. All or nothing.
 * @returns the descriptor: the caller gives it to QEMU and closes its own
 * @throws WeftError EEXIST when a link has that name; EPERM, EACCES without the right; ENOENT without a TAP driver
 */
export function openTap(slot: SlotAddress, netlink: RouteNetlink, options: TapOptions = {}): number {
  const { mtuBytes, netns } = options;
  const { prefixes, tapName } = slot;
  const open = () => {
    const fd = openDevice(tapName);
    applySettings(tapName);
    return fd;
  };
  const fd = netns === undefined ? open() : inNamespace(netns, open);
  try {
    const link = netlink.linkByName(tapName);
    if (link === undefined) throw new WeftError(`the new link "${tapName}" is gone`, { code: 'ENODEV' });
    if (mtuBytes !== undefined && mtuBytes !== link.mtuBytes) netlink.setLink(link.index, { mtuBytes });
    for (const { address, length } of [endsOf(prefixes.ipv4).host, endsOf(prefixes.ipv6).host]) {
      // Below 1280 bytes there is no IPv6.
      if (isIpv6(address) && mtuBytes !== undefined && mtuBytes < 1280) continue;
      netlink.addAddress({
        linkIndex: link.index,
        address,
        prefixLength: length,
        ...(isIpv6(address) ? { flags: IFA_F_NODAD } : {}),
      });
    }
    netlink.setLink(link.index, { up: true });
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}
