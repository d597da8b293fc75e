/**
 * MPTCP listeners for announced addresses: a peer that joins at an announced port needs a listener there. Counted by
 * their users; nothing is accepted from them, because the kernel itself takes joining subflows.
 *
 * Invariant: a descriptor is open exactly while somebody uses it. BOUNDED: `MAX_LISTENERS`.
 */
import { familyOf, formatSocketAddress, parseIp, unmapV4, WeftError } from '../../base/index.ts';
import {
  bindSocket,
  closeFd,
  inNamespace,
  IPPROTO_MPTCP,
  listenOn,
  localAddressOf,
  openSocket,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from '../../native/index.ts';
import type { PathAddress } from '../plugin-api.ts';

const MAX_LISTENERS = 4096;

const REFUSED = new Set(['0.0.0.0', '::', '255.255.255.255']);

interface Listener {
  readonly fd: number;
  users: number;
}

export class ListenerRegistry {
  readonly #netns: string | undefined;
  readonly #listeners = new Map<string, Listener>();

  constructor(netns: string | undefined) {
    this.#netns = netns;
  }

  get size(): number {
    return this.#listeners.size;
  }

  /**
   * @returns where it listens; of port 0 the one that the kernel chose
   * @throws WeftError BAD_ADDRESS, TOO_MANY_LISTENERS; SystemError (EADDRINUSE, EADDRNOTAVAIL …)
   */
  listen(local: PathAddress): PathAddress {
    const { address, port } = local;
    if (parseIp(address) === undefined || REFUSED.has(unmapV4(address))) {
      throw new WeftError(`listen on "${address}": not an address of one host`, {
        code: 'BAD_ADDRESS',
        hint: 'name the address that is announced',
      });
    }
    const known = this.#listeners.get(formatSocketAddress(address, port));
    if (known !== undefined) {
      known.users++;
      return local;
    }
    if (this.#listeners.size >= MAX_LISTENERS) {
      throw new WeftError(`listen on ${address}: there are ${MAX_LISTENERS} listeners already`, {
        code: 'TOO_MANY_LISTENERS',
      });
    }
    return this.#open(local);
  }

  #open({ address, port }: PathAddress): PathAddress {
    const open = () => openSocket(familyOf(address), SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP);
    const fd = this.#netns === undefined ? open() : inNamespace(this.#netns, open);
    try {
      bindSocket(fd, { address, port });
      listenOn(fd, 0);
      const bound = { address, port: localAddressOf(fd)?.port ?? port };
      this.#listeners.set(formatSocketAddress(bound.address, bound.port), { fd, users: 1 });
      return bound;
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /** @throws WeftError NO_LISTENER */
  close({ address, port }: PathAddress): void {
    const key = formatSocketAddress(address, port);
    const listener = this.#listeners.get(key);
    if (listener === undefined) {
      throw new WeftError(`close listener ${key}: there is none`, { code: 'NO_LISTENER' });
    }
    listener.users--;
    if (listener.users > 0) return;
    this.#listeners.delete(key);
    closeFd(listener.fd);
  }

  closeAll(): void {
    for (const { fd } of this.#listeners.values()) closeFd(fd);
    this.#listeners.clear();
  }
}
