/**
 * Which link has an address, for subflows whose path nobody reports. Read anew when the kernel says that something
 * changed, and now and then.
 */
import { isLinkLocal } from '../../base/index.ts';
import type { InterfaceAddress, RouteNetlink } from '../../netlink/index.ts';

const REFRESH_MS = 5000;

export class AddressBook {
  readonly #netlink: RouteNetlink;
  #links = new Map<string, number>();
  #dueMs = -Infinity;

  /** @param netlink stays its owner's to close */
  constructor(netlink: RouteNetlink) {
    this.#netlink = netlink;
  }

  /** The next `refresh` reads in any case. */
  invalidate(): void {
    this.#dueMs = -Infinity;
  }

  /** @param note is told of every address */
  refresh(nowMs: number, note: (address: InterfaceAddress) => void): void {
    if (nowMs < this.#dueMs) return;
    const links = new Map<string, number>();
    for (const item of this.#netlink.addresses()) {
      note(item);
      // Every link has such addresses, and two may have the same.
      if (!isLinkLocal(item.address)) links.set(item.address, item.linkIndex);
    }
    this.#links = links;
    this.#dueMs = nowMs + REFRESH_MS;
  }

  /** Index of the link; `undefined` when no link has the address. */
  linkOf(address: string): number | undefined {
    return this.#links.get(address);
  }
}
