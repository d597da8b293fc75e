/**
 * The guest's NICs, kept as the host wants them: what link-plan.ts plans is carried out over netlink, at once for a
 * NIC that is there and when it comes for one that is not.
 *
 * Invariants: a NIC that the host never named is not touched; one that is unplugged and comes back is set up again.
 */
import { readFileSync } from 'node:fs';
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import { inNamespace } from '../../native/index.ts';
import { IFF_RUNNING, IFF_UP, RouteNetlink, watchRoutes } from '../../netlink/index.ts';
import type { InterfaceAddress, Link } from '../../netlink/index.ts';
import { planLink } from './link-plan.ts';
import type { GuestLink, GuestLinkReport } from './protocol.ts';

/** BOUNDED: NICs that may be asked for. */
const LINKS_MAX = 32;
export const DEFAULT_WAIT_MS = 10_000;

export interface GuestLinksOptions {
  readonly logger: Logger;
  /** File of the network namespace; default is this process's own. */
  readonly netns?: string;
  /** Wanted links, or which of them are there, changed. */
  readonly onChange?: () => void;
}

interface Waiter {
  readonly mac: string;
  readonly settle: (error?: unknown) => void;
}

export class GuestLinks {
  readonly #options: GuestLinksOptions;
  readonly #netlink: RouteNetlink;
  readonly #watch: { close(): void };
  /** BOUNDED by LINKS_MAX. */
  readonly #wanted = new Map<string, GuestLink>();
  /** BOUNDED by the requests under way, which agent.ts bounds. */
  readonly #waiters = new Set<Waiter>();

  constructor(options: GuestLinksOptions) {
    this.#options = options;
    const { netns } = options;
    const where = netns === undefined ? {} : { netns };
    // Before the first reading, so that nothing falls in between.
    this.#watch = watchRoutes(
      (event) => {
        if (event.kind === 'overrun' || (event.kind === 'link' && event.action === 'new')) this.#reconcile();
      },
      { ...where, subjects: ['link'] },
    );
    this.#netlink = RouteNetlink.open(where);
  }

  close(): void {
    this.#watch.close();
    this.#netlink.close();
    for (const waiter of this.#waiters) waiter.settle(new WeftError('the guest ends', { code: 'STOPPED' }));
  }

  /** MAC addresses of the NICs that are plugged in. */
  macs(): string[] {
    return this.#nics().flatMap((link) => link.hardwareAddress ?? []);
  }

  /** The guest's names of NICs with a role, or with the flag `backup`. */
  names(choose: (link: GuestLink) => boolean): string[] {
    return this.#nics()
      .filter((nic) => {
        const link = this.#wanted.get(nic.hardwareAddress ?? '');
        return link !== undefined && choose(link);
      })
      .map((nic) => nic.name);
  }

  /**
   * Makes the NIC so; resolves when it is.
   * @throws WeftError NO_LINK when it is not plugged in in time (the wish stays), TOO_MANY_LINKS; NetlinkError
   */
  async want(link: GuestLink, waitMs = DEFAULT_WAIT_MS): Promise<GuestLinkReport> {
    if (!this.#wanted.has(link.mac) && this.#wanted.size >= LINKS_MAX) {
      throw new WeftError(`more than ${LINKS_MAX} links are not looked after`, { code: 'TOO_MANY_LINKS' });
    }
    this.#wanted.set(link.mac, link);
    let nic = this.#find(link.mac);
    if (nic === undefined) {
      await this.#waitFor(link.mac, waitMs);
      nic = this.#find(link.mac);
    } else {
      this.#apply(link, nic);
    }
    this.#options.onChange?.();
    const report = nic === undefined ? undefined : this.reports().find(({ mac }) => mac === link.mac);
    if (report === undefined) {
      throw new WeftError(`no network card with the address ${link.mac} is plugged in`, { code: 'NO_LINK' });
    }
    return report;
  }

  /** Takes everything from the NIC and forgets it. */
  forget(mac: string): void {
    if (!this.#wanted.delete(mac)) return;
    for (const waiter of this.#waiters) if (waiter.mac === mac) waiter.settle();
    const nic = this.#find(mac);
    if (nic !== undefined) {
      this.#change(undefined, nic);
      this.#netlink.setLink(nic.index, { up: false });
    }
    this.#options.onChange?.();
  }

  get missingMacs(): string[] {
    const present = new Set(this.macs());
    return [...this.#wanted.keys()].filter((mac) => !present.has(mac));
  }

  reports(): GuestLinkReport[] {
    const addresses = this.#netlink.addresses();
    return this.#nics().flatMap((nic) => {
      const link = this.#wanted.get(nic.hardwareAddress ?? '');
      return link === undefined ? [] : [this.#report(link, nic, addresses)];
    });
  }

  #report(link: GuestLink, nic: Link, addresses: readonly InterfaceAddress[]): GuestLinkReport {
    const { label, mac, role } = link;
    return {
      mac,
      name: nic.name,
      role,
      addresses: addresses
        .filter((item) => item.linkIndex === nic.index)
        .map(({ address, prefixLength }) => `${address}/${prefixLength}`),
      up: (nic.flags & IFF_UP) !== 0 && (nic.flags & IFF_RUNNING) !== 0,
      receivedBytes: this.#counter(nic.name, 'rx_bytes'),
      sentBytes: this.#counter(nic.name, 'tx_bytes'),
      ...(label === undefined ? {} : { label }),
    };
  }

  #nics(): Link[] {
    return this.#netlink.links().filter((link) => link.hardwareAddress !== undefined);
  }

  #find(mac: string): Link | undefined {
    return this.#nics().find((nic) => nic.hardwareAddress === mac);
  }

  #counter(name: string, counter: string): number {
    const { netns } = this.#options;
    const read = () => Number(readFileSync(`/sys/class/net/${name}/statistics/${counter}`, 'utf8'));
    try {
      return netns === undefined ? read() : inNamespace(netns, read);
    } catch {
      // It was unplugged meanwhile.
      return 0;
    }
  }

  #waitFor(mac: string, waitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: unknown) => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        if (error === undefined) resolve();
        // oxlint-disable-next-line prefer-promise-reject-errors
        else reject(error);
      };
      const timer = setTimeout(() => settle(), waitMs);
      const waiter = { mac, settle };
      this.#waiters.add(waiter);
    });
  }

  /** Everything that is wanted and there; a failure concerns its NIC. */
  #reconcile(): void {
    let changed = false;
    for (const nic of this.#nics()) {
      const link = this.#wanted.get(nic.hardwareAddress ?? '');
      if (link === undefined) continue;
      const waiters = [...this.#waiters].filter(({ mac }) => mac === link.mac);
      try {
        changed = this.#apply(link, nic) || changed;
        for (const waiter of waiters) waiter.settle();
      } catch (error) {
        this.#options.logger.warn({ mac: link.mac }, `${nic.name} could not be set up: ${errorText(error)}`);
        for (const waiter of waiters) waiter.settle(error);
      }
    }
    if (changed) this.#options.onChange?.();
  }

  /** @returns whether anything was to be done */
  #apply(link: GuestLink, nic: Link): boolean {
    const mtuBytes = link.mtuBytes ?? nic.mtuBytes;
    const isUp = (nic.flags & IFF_UP) !== 0;
    if (mtuBytes !== nic.mtuBytes || !isUp) this.#netlink.setLink(nic.index, { mtuBytes, up: true });
    return this.#change(link, nic) || mtuBytes !== nic.mtuBytes || !isUp;
  }

  #change(link: GuestLink | undefined, nic: Link): boolean {
    const plan = () => planLink(link, nic.index, this.#netlink.addresses(), this.#netlink.routes());
    const { addressesToAdd, addressesToDelete } = plan();
    addressesToAdd.forEach((address) => this.#netlink.addAddress(address));
    addressesToDelete.forEach((address) => this.#netlink.deleteAddress(address));
    // An address that goes may take routes with it.
    const { routesToAdd, routesToDelete } = plan();
    routesToDelete.forEach((route) => this.#netlink.deleteRoute(route));
    routesToAdd.forEach((route) => this.#netlink.addRoute(route));
    return [addressesToAdd, addressesToDelete, routesToAdd, routesToDelete].some((list) => list.length > 0);
  }
}
