/**
 * The tunnel's link: a TUN device with virtio headers and as many offloads as this kernel gives, its addresses and
 * MTU. Not here: routes (tunnel-routes.ts), reading and writing packets (src/tunnel/data).
 *
 * Invariant: the device is this object's from `open` to `close`; a link of that name that exists already is never
 * taken over. The kernel removes device, addresses and their routes with the descriptor, so a killed process leaves
 * nothing of it.
 *
 * References: Documentation/networking/tuntap.rst; <linux/if_tun.h>; virtio 1.2 section 5.1.6 (virtio_net_hdr).
 */
import { writeFileSync } from 'node:fs';
import { WeftError, type Prefix } from '../../base/index.ts';
import { isIpv6 } from '../../base/index.ts';
import {
  closeFd,
  EACCES,
  EBUSY,
  ENOENT,
  EPERM,
  IFF_NO_PI,
  IFF_TUN,
  IFF_TUN_EXCL,
  IFF_VNET_HDR,
  inNamespace,
  linkIndexOf,
  openTunTap,
  setTunOffload,
  SystemError,
  TUN_F_CSUM,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_TSO_ECN,
  TUN_F_USO4,
  TUN_F_USO6,
} from '../../native/index.ts';
import { IFA_F_NODAD, RouteNetlink } from '../../netlink/index.ts';

/** Packets that may wait in the device, as in MPT; the kernel's default is 500. */
const TRANSMIT_QUEUE_PACKETS = 1500;
/** Below this the kernel takes IPv6 off the link (RFC 8200 section 5). */
export const IPV6_MTU_MIN = 1280;
export const MTU_MIN = 68;
export const MTU_MAX = 65_535;

export interface TunnelDeviceOptions {
  readonly name: string;
  readonly mtuBytes: number;
  readonly ipv4?: Prefix;
  readonly ipv6?: Prefix;
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
}

const TCP_OFFLOADS = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
const UDP_OFFLOADS = TUN_F_USO4 | TUN_F_USO6;

/** From the best down; each with what is missing then. */
const OFFLOAD_STEPS: readonly { readonly bits: number; readonly missing?: string }[] = [
  { bits: TCP_OFFLOADS | TUN_F_TSO_ECN | UDP_OFFLOADS },
  { bits: TCP_OFFLOADS | TUN_F_TSO_ECN, missing: 'UDP segmentation on the TUN device (Linux 6.2)' },
  { bits: TCP_OFFLOADS, missing: 'UDP segmentation and TCP segmentation with ECN on the TUN device' },
  { bits: TUN_F_CSUM, missing: 'segmentation on the TUN device' },
  { bits: 0, missing: 'every offload of the TUN device' },
];

function openDevice(name: string): { readonly fd: number; readonly hasVirtioHeader: boolean } {
  const flags = IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL;
  try {
    return { fd: openTunTap(name, flags | IFF_VNET_HDR), hasVirtioHeader: true };
  } catch (error) {
    // EINVAL for a name that is another kind of link, EBUSY for a TUN device: told apart from a lacking right.
    if (!(error instanceof SystemError)) throw error;
    if (linkIndexOf(name) !== undefined || error.errno === EBUSY) {
      throw new WeftError(`make the tunnel's link "${name}": a link of that name exists already (EEXIST)`, {
        code: 'EEXIST',
        cause: error,
        hint: 'another tunnel may be running; otherwise give [tun_0] another name in interface.conf, or remove that link',
      });
    }
    if (error.errno === EPERM || error.errno === EACCES) {
      throw new WeftError(error.message, {
        code: error.code,
        cause: error,
        hint: 'a tunnel needs root, or the capability CAP_NET_ADMIN and access to /dev/net/tun',
      });
    }
    if (error.errno === ENOENT) {
      throw new WeftError(error.message, {
        code: error.code,
        cause: error,
        hint: 'the kernel has no TUN device: load the module "tun", or give this container /dev/net/tun',
      });
    }
    throw error;
  }
}

export class TunnelDevice {
  readonly name: string;
  readonly linkIndex: number;
  /** Non-blocking. Belongs to this object; who gives it to threads ends them before `close`. */
  readonly fd: number;
  /** Each packet begins with a virtio_net_hdr of 10 bytes. */
  readonly hasVirtioHeader: boolean;
  /** Packets from the device may have to be segmented, for TCP of either version; larger ones may go to it too. */
  readonly hasTcpOffload: boolean;
  /** The same for UDP. */
  readonly hasUdpOffload: boolean;
  /** What this kernel lacks, in words; empty where everything is there. */
  readonly troubles: readonly string[];
  /** That it was given; somebody else may have taken one away. */
  readonly addresses: readonly Prefix[];
  readonly #netlink: RouteNetlink;
  #mtuBytes: number;
  #closed = false;

  private constructor(
    options: TunnelDeviceOptions,
    opened: { readonly fd: number; readonly hasVirtioHeader: boolean },
    netlink: RouteNetlink,
  ) {
    this.name = options.name;
    this.fd = opened.fd;
    this.hasVirtioHeader = opened.hasVirtioHeader;
    this.#netlink = netlink;
    const link = netlink.linkByName(options.name);
    if (link === undefined) throw new WeftError(`the new link "${options.name}" is gone`, { code: 'ENODEV' });
    this.linkIndex = link.index;
    const troubles: string[] = [];
    const step = OFFLOAD_STEPS.find(({ bits }) => setTunOffload(opened.fd, bits));
    if (step?.missing !== undefined) troubles.push(`this kernel has no ${step.missing}`);
    const bits = step?.bits ?? 0;
    this.hasTcpOffload = (bits & TCP_OFFLOADS) === TCP_OFFLOADS;
    this.hasUdpOffload = (bits & UDP_OFFLOADS) === UDP_OFFLOADS;
    this.troubles = troubles;
    this.#mtuBytes = options.mtuBytes;
    netlink.setLink(link.index, {
      mtuBytes: options.mtuBytes,
      transmitQueueLength: TRANSMIT_QUEUE_PACKETS,
    });
    this.#silenceLinkLocal(options.netns);
    this.addresses = [options.ipv4, options.ipv6].filter((address) => address !== undefined);
    for (const address of this.addresses) this.addAddress(address);
    netlink.setLink(link.index, { up: true });
  }

  /**
   * Makes the device, with addresses and MTU, and switches it on. All or nothing.
   * @throws WeftError EEXIST when a link has that name; EPERM, EACCES without the right; ENOENT without a TUN driver;
   *   NetlinkError when the kernel refuses an address or the MTU
   */
  static open(options: TunnelDeviceOptions): TunnelDevice {
    const { mtuBytes, name, netns } = options;
    if (!(mtuBytes >= MTU_MIN && mtuBytes <= MTU_MAX)) {
      throw new WeftError(`the MTU ${mtuBytes} of "${name}" is not possible`, {
        code: 'BAD_MTU',
        hint: `a TUN device takes ${MTU_MIN} to ${MTU_MAX} bytes`,
      });
    }
    if (options.ipv6 !== undefined && mtuBytes < IPV6_MTU_MIN) {
      throw new WeftError(`the MTU ${mtuBytes} of "${name}" is too small for its IPv6 address`, {
        code: 'BAD_MTU',
        hint: `IPv6 needs ${IPV6_MTU_MIN} bytes or more`,
      });
    }
    const open = () => openDevice(name);
    const opened = netns === undefined ? open() : inNamespace(netns, open);
    let netlink: RouteNetlink | undefined;
    try {
      netlink = RouteNetlink.open(netns === undefined ? {} : { netns });
      return new TunnelDevice(options, opened, netlink);
    } catch (error) {
      netlink?.close();
      closeFd(opened.fd);
      throw error;
    }
  }

  get mtuBytes(): number {
    return this.#mtuBytes;
  }

  /** Gives the link one of its addresses, at first or again. */
  addAddress({ address, length }: Prefix): void {
    this.#netlink.addAddress({
      linkIndex: this.linkIndex,
      address,
      prefixLength: length,
      // Nobody else is on this link.
      ...(isIpv6(address) ? { flags: IFA_F_NODAD } : {}),
    });
  }

  /** Takes effect for new packets at once; TCP connections notice it at their next segment. */
  setMtu(mtuBytes: number): void {
    if (mtuBytes === this.#mtuBytes) return;
    this.#netlink.setLink(this.linkIndex, { mtuBytes });
    this.#mtuBytes = mtuBytes;
  }

  /** No link-local address: what is sent from one (router solicitations, multicast reports) belongs to no connection. */
  #silenceLinkLocal(netns: string | undefined): void {
    const write = () => {
      try {
        writeFileSync(`/proc/sys/net/ipv6/conf/${this.name}/addr_gen_mode`, '1');
      } catch {
        // A kernel without IPv6, or a read-only /proc: then a few packets are dropped and counted.
      }
    };
    if (netns === undefined) write();
    else inNamespace(netns, write);
  }

  /** Removes the device. Threads that use `fd` have ended before. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.fd);
    this.#netlink.close();
  }
}
