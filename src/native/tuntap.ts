/**
 * TUN and TAP devices (<linux/if_tun.h>, Documentation/networking/tuntap.rst). The device lives as long as the
 * descriptor is open; closing it is how its owner removes it.
 */
import { WeftError } from '../base/errors.ts';
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from './constants.ts';
import { check, EINVAL, SystemError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;

export const IFF_TUN = 0x0001;
export const IFF_TAP = 0x0002;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;
/** Fails with EBUSY when there is a device of that name already, where otherwise a lasting one would be opened. */
export const IFF_TUN_EXCL = 0x8000;

/** What the program takes over from the kernel (`setTunOffload`). */
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
export const TUN_F_TSO6 = 0x04;
export const TUN_F_TSO_ECN = 0x08;
/** Linux 6.2. */
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;

/** Opens a device of that name in this thread's network namespace, non-blocking. Needs CAP_NET_ADMIN there. */
export function openTunTap(name: string, flags: number): number {
  if (!/^[^\s/:%]{1,15}$/.test(name))
    throw new WeftError(`"${name}" is not a link name`, { code: 'BAD_NAME' });
  const fd = check(libc.open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC, 0), 'open /dev/net/tun');
  const ifreq = new Uint8Array(IFREQ_BYTES);
  ifreq.set(new TextEncoder().encode(name), 0);
  new DataView(ifreq.buffer).setUint16(IFNAMSIZ, flags, true);
  try {
    check(libc.ioctl(fd, TUNSETIFF, ifreq), `make TUN/TAP device "${name}"`);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return fd;
}

/**
 * Sets which offloads (TUN_F_*) packets from the device may use; a device without IFF_VNET_HDR has none.
 * @returns `false` when this kernel does not know one of them; nothing has changed then
 */
export function setTunOffload(fd: number, offloads: number): boolean {
  // The argument is the number itself, in the place of a pointer.
  if (libc.ioctlNumber(fd, TUNSETOFFLOAD, offloads) >= 0) return true;
  const errno = lastErrno();
  if (errno === EINVAL) return false;
  throw new SystemError('set the offloads of the TUN device', errno);
}
