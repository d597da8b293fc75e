/**
 * addr_adv: an endpoint in the kernel's own path manager for each local address, as mptcpd's plugin of that name
 * makes them: bound to its link, with the configured flags, and limits of two more than there are addresses.
 *
 * Unlike that plugin it works on the whole set: after each reading of the network it compares what should be with what
 * is, so that a refusal, an endpoint that somebody removed and a place that became free are made good by the next
 * look. Addresses beyond the kernel's number of places wait, and are looked after more often.
 *
 * Invariant: endpoints of other programs stay as they are; what is made is in the record before it is made.
 */
import { EndpointFlag, type Limits, type PathManager } from '../../mptcp/index.ts';
import type { Logger } from '../../base/index.ts';
import {
  EndpointOwner,
  type EndpointListener,
  type EndpointOwnerCounters,
  type EndpointReport,
} from '../endpoint-owner.ts';
import type { EndpointUse, WantedEndpoint } from '../endpoint-plan.ts';
import { addressLimits } from '../limits-plan.ts';
import type { LocalAddress } from '../network/network-state.ts';
import type { OwnershipJournal } from '../ownership.ts';

export interface AddrAdvOptions {
  /** Stays its owner's to close. */
  readonly pathManager: PathManager;
  readonly journal: OwnershipJournal;
  /** EndpointFlag bits for addresses for which no rule names others. */
  readonly addressFlags: number;
  readonly logger: Logger;
  /** Told of each endpoint that was made, changed or removed. */
  readonly onEndpoint?: EndpointListener;
}

export interface AddrAdvReport extends Omit<EndpointReport, 'uses'> {
  /** By address. */
  readonly uses: ReadonlyMap<string, EndpointUse>;
  readonly limits: Limits;
}

/** What a user changed of an interface while the daemon runs. */
export interface InterfaceOverride {
  readonly backup: boolean;
}

/** While addresses wait for a place: another program's endpoint goes without a message. */
const WAITING_MS = 500;

export class AddrAdv {
  readonly #owner: EndpointOwner;
  readonly #logger: Logger;
  #addressFlags: number;
  #addresses: readonly LocalAddress[] = [];
  /** By the link's index, so that a link keeps it when it is renamed. BOUNDED: by the links that a user names. */
  readonly #overrides = new Map<number, InterfaceOverride>();
  #report: AddrAdvReport | undefined;
  #toldFailures: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | undefined;

  /** Takes over what the record tells of; `reconcile` keeps or removes it. */
  constructor({ addressFlags, journal, logger, onEndpoint, pathManager }: AddrAdvOptions) {
    this.#addressFlags = addressFlags;
    this.#logger = logger;
    this.#owner = new EndpointOwner(pathManager, journal, logger, onEndpoint);
  }

  get counters(): EndpointOwnerCounters {
    return this.#owner.counters;
  }

  /** Of the last `reconcile`. */
  get report(): AddrAdvReport | undefined {
    return this.#report;
  }

  /** For the next `reconcile`. */
  configure({ addressFlags }: Pick<AddrAdvOptions, 'addressFlags'>): void {
    this.#addressFlags = addressFlags;
  }

  /** Makes an interface's endpoints backup or not, whatever the rules say; live connections follow at once. */
  setInterface(linkIndex: number, override: InterfaceOverride): AddrAdvReport {
    this.#overrides.set(linkIndex, override);
    return this.reconcile(this.#addresses);
  }

  /** Sets limits for a user: they are left at that. @throws NetlinkError */
  setLimits(limits: Partial<Limits>): void {
    this.#owner.setLimits(limits);
  }

  /** Brings endpoints and limits to what these addresses need. What cannot be done is logged, and tried again. */
  reconcile(addresses: readonly LocalAddress[]): AddrAdvReport {
    this.#addresses = addresses;
    const wanted = this.#wanted(addresses);
    const forSubflows = [this.#addressFlags, ...wanted.map(({ flags }) => flags)].some(
      (flags) => (flags & EndpointFlag.subflow) !== 0,
    );
    const failures = this.#owner.retire(wanted);
    // Before the endpoints: live connections use a new endpoint at once, as far as the limits let them.
    const limited = this.#owner.raiseLimits(addressLimits(wanted.length, forSubflows), { follow: true });
    const { uses, ...provided } = this.#owner.provide(wanted);
    failures.push(...limited.failures, ...provided.failures);
    this.#tell(failures);
    this.#lookAgainWhile(uses.some(({ state }) => state === 'waiting'));
    this.#report = {
      ...provided,
      failures,
      uses: new Map(uses.map((use) => [use.address, use])),
      limits: limited.limits,
    };
    return this.#report;
  }

  /** @param keep leave endpoints and limits; the next start takes them over. @returns what could not be removed */
  stop(keep: boolean): string[] {
    clearTimeout(this.#timer);
    return keep ? [] : this.#owner.removeAll();
  }

  /** Each address once: those that have an endpoint first, so that they keep their places, then the oldest. */
  #wanted(addresses: readonly LocalAddress[]): WantedEndpoint[] {
    const owned = new Set(this.#owner.owned.map(({ address }) => address));
    const wanted = new Map<string, WantedEndpoint>();
    for (const local of addresses) {
      const { address, linkIndex, state } = local;
      // What is no news was made an endpoint of by an earlier process, or not at all.
      const isMeant = state === 'announced' || owned.has(address);
      if (isMeant && !wanted.has(address)) {
        wanted.set(address, { address, linkIndex, flags: this.#flagsOf(local) });
      }
    }
    const isOwned = ({ address }: WantedEndpoint) => owned.has(address);
    return [...wanted.values()].sort((a, b) => Number(isOwned(b)) - Number(isOwned(a)));
  }

  #flagsOf({ endpointFlags, linkIndex }: LocalAddress): number {
    const flags = endpointFlags ?? this.#addressFlags;
    const override = this.#overrides.get(linkIndex);
    if (override === undefined) return flags;
    return override.backup ? flags | EndpointFlag.backup : flags & ~EndpointFlag.backup;
  }

  /** Each failure once, until it does not happen any more. */
  #tell(failures: readonly string[]): void {
    for (const text of failures) if (!this.#toldFailures.has(text)) this.#logger.error({}, text);
    this.#toldFailures = new Set(failures);
  }

  #lookAgainWhile(waiting: boolean): void {
    clearTimeout(this.#timer);
    if (!waiting) return;
    this.#timer = setTimeout(() => this.reconcile(this.#addresses), WAITING_MS);
    this.#timer.unref();
  }
}
