/**
 * What plugins are told when the host's network changes (pure): each reading of the host is judged as a whole and
 * compared with the one before, never message by message, because messages get lost, come before the deed or do not
 * come at all (docs/decisions/0003).
 *
 * An interface is ready as for mptcpd when it is UP and RUNNING and no loopback, and has its carrier: RUNNING
 * follows the carrier up to a second late. Losing that takes its addresses away, getting it back brings all of them.
 * Not used are IPv6 addresses that are tentative (they wait for duplicate address detection), that failed it, and
 * those that are deprecated. Temporary ones (RFC 8981) are used like others: they are what the host itself would
 * connect from.
 *
 * Invariant: callbacks are paired. What was told as new is told as deleted when it is no longer there, addresses
 * before their interface, and nothing is deleted that plugins could not know.
 *
 * References: Documentation/networking/operstates.rst; <linux/if_addr.h>.
 */
import { AF_INET, type Family } from '../../base/index.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_TENTATIVE,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_RUNNING,
  IFF_UP,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  type InterfaceAddress,
  type Link,
} from '../../netlink/index.ts';
import type { PluginAddress, PluginInterface } from '../plugin-api.ts';
import { judgeByRules, needMetrics, type RuleVerdict } from './interface-rules.ts';
import {
  isVisible,
  pluginInterface,
  type AddressState,
  type MonitoredAddress,
  type MonitoredInterface,
  type NetworkReading,
  type NetworkSettings,
} from './network-state.ts';

export type NetworkChange =
  | { readonly kind: 'newInterface'; readonly interface: PluginInterface }
  | { readonly kind: 'updateInterface'; readonly interface: PluginInterface }
  | { readonly kind: 'deleteInterface'; readonly interface: PluginInterface }
  | {
      readonly kind: 'newLocalAddress';
      readonly interface: PluginInterface;
      readonly address: PluginAddress;
    }
  | {
      readonly kind: 'deleteLocalAddress';
      readonly interface: PluginInterface;
      readonly address: PluginAddress;
    };

const READY = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;

/** Whether packets can leave by this link now. */
export function isReady({ flags }: Pick<Link, 'flags'>): boolean {
  return (flags & READY) === READY && (flags & IFF_LOOPBACK) === 0;
}

/** Whether anything in the settings depends on routes. */
export function needRoutes({ notify, rules }: NetworkSettings): boolean {
  return notify.checkRoute || needMetrics(rules);
}

interface Judged {
  readonly state: AddressState;
  readonly verdict: string;
}

const skipped = (why: string): Judged => ({ state: 'skipped', verdict: `skipped because ${why}` });

const keyOf = (linkIndex: number, address: string) => `${linkIndex} ${address}`;

export class NetworkModel {
  #settings: NetworkSettings;
  #interfaces: readonly MonitoredInterface[] = [];
  #first = true;
  /** BOUNDED: by the addresses of the first reading. */
  #existing = new Set<string>();
  #lastOrder = 0;

  constructor(settings: NetworkSettings) {
    this.#settings = settings;
  }

  /** Every link that is ready, also those that plugins do not hear of. */
  get interfaces(): readonly MonitoredInterface[] {
    return this.#interfaces;
  }

  /** The next reading is judged by these. */
  configure(settings: NetworkSettings): void {
    this.#settings = settings;
    if (settings.notify.existing) this.#existing.clear();
  }

  /** @returns what plugins have to hear, in order */
  handleReading(reading: NetworkReading): NetworkChange[] {
    const before = this.#interfaces;
    const after = reading.links
      .filter((link) => isReady(link))
      .map((link) => this.#judgeLink(link, reading, before));
    this.#interfaces = after;
    const visible = new Set(
      after.flatMap(({ addresses, index }) =>
        addresses.filter(isVisible).map(({ address }) => keyOf(index, address)),
      ),
    );
    // An address that could not be used for a while, and comes back, is a new one.
    for (const key of this.#existing) if (!visible.has(key)) this.#existing.delete(key);
    const changes = compare(before, after);
    if (!this.#first) return changes;
    this.#first = false;
    // Interfaces of the start are there, not new.
    return changes.filter(({ kind }) => kind !== 'newInterface');
  }

  #judgeLink(link: Link, reading: NetworkReading, before: readonly MonitoredInterface[]): MonitoredInterface {
    const { flags, hardwareType, index, kind, name } = link;
    const former = before.find((monitored) => monitored.index === index);
    const seen = new Set<string>();
    const own = reading.addresses.filter(({ address, linkIndex }) => {
      // The kernel can have one IPv4 address twice on a link, with two prefixes.
      if (linkIndex !== index || seen.has(address)) return false;
      return seen.add(address).size > 0;
    });
    const excludedBy = this.#excludedBy(link, reading, own);
    return {
      index,
      name,
      flags,
      hardwareType,
      ...(kind === undefined ? {} : { kind }),
      addresses: own.map((address) => this.#judgeAddress(address, link, reading, former)),
      ...(excludedBy === undefined ? {} : { excludedBy }),
    };
  }

  #askRules(link: Link, family: Family, reading: NetworkReading): RuleVerdict {
    const { index, kind, name } = link;
    const { rules } = this.#settings;
    const metric = needMetrics(rules) ? reading.defaultRoute(index, family)?.metric : undefined;
    return judgeByRules(rules, {
      name,
      family,
      ...(kind === undefined ? {} : { kind }),
      ...(metric === undefined ? {} : { metric }),
    });
  }

  /** The rule that forbids an interface: each of its addresses, or without any those of IPv4. */
  #excludedBy(link: Link, reading: NetworkReading, own: readonly InterfaceAddress[]): string | undefined {
    const families: readonly Family[] =
      own.length === 0 ? [AF_INET] : [...new Set(own.map(({ family }) => family))];
    const verdicts = families.map((family) => this.#askRules(link, family, reading));
    return verdicts.every(({ use }) => !use) ? verdicts[0]?.by : undefined;
  }

  #judgeAddress(
    address: InterfaceAddress,
    link: Link,
    reading: NetworkReading,
    former: MonitoredInterface | undefined,
  ): MonitoredAddress {
    const { address: text, family, flags, prefixLength, scope } = address;
    const rule = this.#askRules(link, family, reading);
    const judged = this.#judge(address, rule, reading);
    const known = former?.addresses.find((other) => other.address === text);
    const order =
      known !== undefined && isVisible(known) && isVisible(judged) ? known.order : ++this.#lastOrder;
    return {
      address: text,
      family,
      prefixLength,
      scope,
      flags,
      ...judged,
      ...(rule.flags === undefined ? {} : { endpointFlags: rule.flags }),
      order,
    };
  }

  #judge(address: InterfaceAddress, rule: RuleVerdict, reading: NetworkReading): Judged {
    const { family, flags, linkIndex, scope } = address;
    const { checkRoute, existing, skipLinkLocal, skipLoopback } = this.#settings.notify;
    if (skipLinkLocal && scope === RT_SCOPE_LINK) return skipped('its scope is its link');
    if (skipLoopback && scope === RT_SCOPE_HOST) return skipped('its scope is this host');
    if (!rule.use) return skipped(`of the rule ${rule.by ?? ''}`.trimEnd());
    if ((flags & IFA_F_DADFAILED) !== 0) return skipped('another host has it (duplicate address detection)');
    if ((flags & IFA_F_TENTATIVE) !== 0) {
      return { state: 'tentative', verdict: 'tentative: waiting for duplicate address detection' };
    }
    if ((flags & IFA_F_DEPRECATED) !== 0) return skipped('it is deprecated');
    if (checkRoute && reading.defaultRoute(linkIndex, family, address.address) === undefined) {
      return { state: 'no-route', verdict: 'waiting for a default route' };
    }
    // What becomes usable later counts as new.
    const key = keyOf(linkIndex, address.address);
    if (this.#first && !existing) this.#existing.add(key);
    if (this.#existing.has(key)) {
      return { state: 'existing', verdict: 'not announced, because it was there at the start' };
    }
    return { state: 'announced', verdict: 'announced' };
  }
}

/** What an interface without its addresses is told by. */
const sameInterface = (a: MonitoredInterface, b: MonitoredInterface) =>
  a.name === b.name && a.flags === b.flags && a.kind === b.kind && a.hardwareType === b.hardwareType;

/** Another link under the same index: one was deleted and another made between two readings. */
const isReplaced = (a: MonitoredInterface, b: MonitoredInterface) =>
  a.hardwareType !== b.hardwareType || a.kind !== b.kind;

function addressChange(
  kind: 'newLocalAddress' | 'deleteLocalAddress',
  of: MonitoredInterface,
  { address, flags, prefixLength, scope }: MonitoredAddress,
): NetworkChange {
  return { kind, interface: pluginInterface(of), address: { address, prefixLength, scope, flags } };
}

function compare(
  before: readonly MonitoredInterface[],
  after: readonly MonitoredInterface[],
): NetworkChange[] {
  const told = before.filter(({ excludedBy }) => excludedBy === undefined);
  const toTell = after.filter(({ excludedBy }) => excludedBy === undefined);
  const gone: NetworkChange[] = [];
  const news: NetworkChange[] = [];
  for (const old of told) {
    const now = toTell.find((other) => other.index === old.index && !isReplaced(old, other));
    for (const address of old.addresses.filter(isVisible)) {
      const still = now?.addresses.find((other) => other.address === address.address);
      // The interface as it is now: an address that is told as deleted is no longer among its addresses.
      const view = now ?? { ...old, addresses: [] };
      if (still === undefined || !isVisible(still)) {
        gone.push(addressChange('deleteLocalAddress', view, address));
      }
    }
    if (now === undefined) gone.push({ kind: 'deleteInterface', interface: pluginInterface(old) });
    else if (!sameInterface(old, now))
      news.push({ kind: 'updateInterface', interface: pluginInterface(now) });
  }
  for (const now of toTell) {
    const old = told.find((other) => other.index === now.index && !isReplaced(other, now));
    if (old === undefined) news.push({ kind: 'newInterface', interface: pluginInterface(now) });
    for (const address of now.addresses.filter(({ state }) => state === 'announced')) {
      const former = old?.addresses.find((other) => other.address === address.address);
      if (former?.state !== 'announced') news.push(addressChange('newLocalAddress', now, address));
    }
  }
  return [...gone, ...news];
}
