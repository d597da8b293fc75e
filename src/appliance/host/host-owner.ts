/**
 * Everything of the appliance's on the host but QEMU and its links: rules and routes, forwarding, the firewall. Brings
 * it to what a plan wants, and removes it.
 *
 * Order: the firewall stands before anything forwards, and goes when nothing does any more.
 *
 * Invariant: what is removed is what this program made (numbers.ts, journal.ts).
 */
import { errorText } from '../../base/index.ts';
import { ForwardingSettings, inNamespace, readNetworkSetting } from '../../native/index.ts';
import { NfTables, type RouteNetlink } from '../../netlink/index.ts';
import { planFirewall, planForwarding, planRouting, type Guard } from './host-plan.ts';
import type { ApplianceLedger } from './journal.ts';
import type { PrefixView } from './link-plan.ts';
import { TABLE_NAME } from './numbers.ts';
import { ApplianceRouting } from './routing.ts';
import type { LinkPlan } from './types.ts';

export interface HostOwnerOptions {
  readonly netlink: RouteNetlink;
  readonly ledger: ApplianceLedger;
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
}

const NO_LINKS = { ipv4: [], ipv6: [] };

export class HostOwner {
  readonly #ledger: ApplianceLedger;
  readonly #netns: string | undefined;
  readonly #routing: ApplianceRouting;
  readonly #forwarding: ForwardingSettings;
  #tables: NfTables | undefined;
  /** What the firewall says now; absent: nothing. */
  #firewall: string | undefined;

  constructor({ ledger, netlink, netns }: HostOwnerOptions) {
    this.#ledger = ledger;
    this.#netns = netns;
    this.#routing = new ApplianceRouting(netlink);
    this.#forwarding = new ForwardingSettings(ledger, netns === undefined ? {} : { netns });
  }

  /** Rules and routes that were added or deleted. */
  get routingChanges(): number {
    return this.#routing.changes;
  }

  /**
   * Makes the host what the plan wants. Goes on after a refusal, but forwards nothing without a firewall.
   * @returns what could not be done, for the user
   */
  apply(plan: LinkPlan, view: PrefixView): string[] {
    const failures: string[] = [];
    try {
      this.#applyFirewall(plan, this.#guards(plan));
    } catch (error) {
      failures.push(`the appliance's packets are not forwarded: ${errorText(error)}`);
      this.#forward(NO_LINKS, failures);
      return failures;
    }
    failures.push(...this.#routing.apply(planRouting(plan, view.routes)));
    this.#forward(planForwarding(plan), failures);
    try {
      // An uplink that has just been given back forwards for itself again.
      this.#applyFirewall(plan, this.#guards(plan));
    } catch (error) {
      failures.push(errorText(error));
    }
    return failures;
  }

  #forward(
    links: { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] },
    failures: string[],
  ): void {
    try {
      this.#forwarding.apply(links, (doing, why) => failures.push(`${doing}: ${why}`));
    } catch (error) {
      failures.push(errorText(error));
    }
  }

  #read(name: string): string | undefined {
    const read = () => readNetworkSetting(name);
    return this.#netns === undefined ? read() : inNamespace(this.#netns, read);
  }

  /** Links that forward, or are about to, only because of the appliance: nothing but its own packets may pass. */
  #guards(plan: LinkPlan): Guard[] {
    const owned = new Map(this.#ledger.settings.map((setting) => [setting.name, setting]));
    const guards: Guard[] = [];
    const links = new Set([
      ...plan.uplinks.map(({ uplink }) => uplink.linkName),
      ...[...owned.keys()].map((name) => name.split('/')[2] ?? ''),
    ]);
    const routesIpv4 = this.#read('ipv4/conf/all/forwarding') === '1';
    const routesIpv6 = this.#read('ipv6/conf/all/forwarding') === '1';
    // Before Linux 6.17 IPv6 is forwarded by all links or by none.
    const forcesNone = this.#read('ipv6/conf/lo/force_forwarding') === undefined;
    const willRouteIpv6 = forcesNone && !routesIpv6 && planForwarding(plan).ipv6.length > 0;
    if (willRouteIpv6 || owned.has('ipv6/conf/all/forwarding')) guards.push({ family: 'ipv6' });
    for (const link of links) {
      if (link === 'all' || plan.uplinks.some(({ tapName }) => tapName === link)) continue;
      const isOurs = (name: string) => owned.has(name) || this.#read(name) === '0';
      if (!routesIpv4 && isOurs(`ipv4/conf/${link}/forwarding`)) guards.push({ family: 'ipv4', link });
      if (!routesIpv6 && isOurs(`ipv6/conf/${link}/force_forwarding`)) guards.push({ family: 'ipv6', link });
    }
    return guards;
  }

  #applyFirewall(plan: LinkPlan, guards: readonly Guard[]): void {
    const table = planFirewall(plan, guards);
    const text = JSON.stringify(table);
    // Not owned by this process in the kernel's sense: what a kill leaves forwarding must not lose its guard.
    this.#tables ??= NfTables.open({
      usesOwnership: false,
      ...(this.#netns === undefined ? {} : { netns: this.#netns }),
    });
    // Whoever loads his own rules may have begun with "flush ruleset".
    if (text === this.#firewall && this.#tables.isPresent(TABLE_NAME)) return;
    this.#ledger.setFirewall(true);
    this.#tables.replace(table);
    this.#firewall = text;
  }

  /** Removes everything, also what a killed process left. @returns what could not be, for the user */
  removeAll(): string[] {
    const failures: string[] = [];
    this.#forward(NO_LINKS, failures);
    failures.push(...this.#routing.removeAll());
    try {
      this.#removeFirewall();
    } catch (error) {
      failures.push(errorText(error));
    }
    return failures;
  }

  #removeFirewall(): void {
    if (!this.#ledger.firewall) return;
    this.#tables ??= NfTables.open({
      usesOwnership: false,
      ...(this.#netns === undefined ? {} : { netns: this.#netns }),
    });
    this.#tables.remove(TABLE_NAME);
    this.#ledger.setFirewall(false);
    this.#firewall = undefined;
  }

  close(): void {
    // NfTables would take the table along, and that is for `removeAll` to say.
    this.#tables?.close();
    this.#tables = undefined;
  }
}
