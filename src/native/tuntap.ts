/**
 * TUN and TAP devices (<linux/if_tun.h>, Documentation/networking/tuntap.rst). The device lives as long as the
 * descriptor is open; closing it is how its owner removes it.
 */
import { WeftError } from '../base/errors.ts';
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from './constants.ts';
import { check } from './errno.ts';
import { libc } from './libc.ts';

const TUNSETIFF = 0x400454ca;
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;

export const IFF_TUN = 0x0001;
export const IFF_TAP = 0x0002;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;

/** Opens a device of that name in this thread's network namespace, non-blocking. Needs CAP_NET_ADMIN there. */
export function openTunTap(name: string, flags: number): number {
  if (!/^[^\s/:]{1,15}$/.test(name))
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
