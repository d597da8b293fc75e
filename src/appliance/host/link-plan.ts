/**
 * Which links there should be between host and guest (pure): a slot, and prefixes out of free space, for every
 * uplink. An uplink keeps its slot and prefixes as long as it is there and nothing of the host's collides with them.
 *
 * Invariant: no two links share a slot, and no prefix overlaps with one of the host's own networks.
 */
import { RT_TABLE_LOCAL, type InterfaceAddress, type Link, type Route } from '../../netlink/index.ts';
import type { Prefix } from '../../base/index.ts';
import { HOST_SLOT, isApplianceRoute, macOf, tapNameOf, TAP_NAMES, UPLINKS_MAX } from './numbers.ts';
import { choosePrefixes, isTaken, type LinkPrefixes } from './prefixes.ts';
import type { HostUplink, LinkPlan, SlotAddress, UplinkSlot } from './types.ts';

/** What of the host decides about prefixes. */
export interface PrefixView {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly Route[];
}

/** VPNs write their default route as two halves; a route to a half of the world is no network of the host's. */
const isNearlyDefault = ({ address, length }: Prefix) => length <= (address.includes(':') ? 3 : 1);

/** The networks that this host's addresses and routes name, apart from the appliance's own. */
export function takenPrefixes(view: PrefixView): Prefix[] {
  const own = new Set(view.links.filter(({ name }) => TAP_NAMES.includes(name)).map(({ index }) => index));
  const taken = new Map<string, Prefix>();
  const add = (prefix: Prefix) => taken.set(`${prefix.address}/${prefix.length}`, prefix);
  for (const { address, linkIndex, prefixLength } of view.addresses) {
    if (!own.has(linkIndex)) add({ address, length: prefixLength });
  }
  for (const route of view.routes) {
    const { destination, linkIndex, table } = route;
    if (destination === undefined || isNearlyDefault(destination) || table === RT_TABLE_LOCAL) continue;
    if (isApplianceRoute(route) || (linkIndex !== undefined && own.has(linkIndex))) continue;
    add(destination);
  }
  return [...taken.values()];
}

function place(slot: number, prefixes: LinkPrefixes): SlotAddress {
  return { slot, tapName: tapNameOf(slot), mac: macOf(slot), prefixes };
}

/**
 * @param uplinks the most important first; one that is not usable gets no new slot, and keeps one that it has
 * @param before the plan until now
 * @param machine something of this machine's own, so that two machines choose different unique local prefixes
 * @throws WeftError NO_PREFIX
 */
export function planLinks(
  uplinks: readonly HostUplink[],
  view: PrefixView,
  machine: string,
  before?: LinkPlan,
): LinkPlan {
  const taken = takenPrefixes(view);
  const keep = (slot: SlotAddress | undefined) =>
    slot !== undefined && !isTaken(slot.prefixes, taken) ? slot : undefined;
  const use = (slot: SlotAddress): SlotAddress => {
    taken.push(slot.prefixes.ipv4, slot.prefixes.ipv6);
    return slot;
  };
  const host = use(keep(before?.host) ?? place(HOST_SLOT, choosePrefixes(`${machine} appliance`, taken)));
  const placed = new Map<HostUplink, SlotAddress>();
  for (const uplink of uplinks) {
    const known = keep(before?.uplinks.find((slot) => slot.uplink.linkName === uplink.linkName));
    if (known !== undefined) placed.set(uplink, use(known));
  }
  const omitted: string[] = [];
  for (const uplink of uplinks) {
    if (placed.has(uplink) || !uplink.usable) continue;
    const used = new Set([...placed.values()].map(({ slot }) => slot));
    const free = Array.from({ length: UPLINKS_MAX }, (_, i) => i + 1).find((slot) => !used.has(slot));
    if (free === undefined) omitted.push(uplink.linkName);
    else {
      const prefixes = choosePrefixes(`${machine} ${uplink.linkName}`, taken);
      placed.set(uplink, use(place(free, prefixes)));
    }
  }
  const slots: UplinkSlot[] = uplinks.flatMap((uplink) => {
    const slot = placed.get(uplink);
    if (slot === undefined) return [];
    const { mac, prefixes, slot: number, tapName } = slot;
    return [{ slot: number, tapName, mac, prefixes, uplink }];
  });
  return { host, uplinks: slots, omitted };
}
