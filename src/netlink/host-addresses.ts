/**
 * The addresses of this host with the names of their links, read once.
 *
 * Node's `os.networkInterfaces` is not asked: it keeps links in a plain object, so a link called `constructor` makes it
 * throw, and one called `__proto__` makes it write into the prototype of all objects.
 */
import { RouteNetlink } from './route-netlink.ts';

export interface HostAddress {
  readonly link: string;
  readonly address: string;
}

/** Of the calling thread's network namespace. @throws SystemError, NetlinkError */
export function readHostAddresses(): HostAddress[] {
  const netlink = RouteNetlink.open();
  try {
    const names = new Map(netlink.links().map(({ index, name }) => [index, name]));
    return netlink.addresses().flatMap(({ address, linkIndex }) => {
      const link = names.get(linkIndex);
      return link === undefined ? [] : [{ link, address }];
    });
  } finally {
    netlink.close();
  }
}
