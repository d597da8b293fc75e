/**
 * What the host should look like for a set of links (pure): addresses of the TAP links, one rule and table for each
 * uplink's link, links that forward, and a firewall of its own.
 *
 *   guest ── weftvm2 ──rule: from weftvm2 look in table 18102──► default via the uplink's gateway ── uplink
 *                                                                ▲ masquerade, only for this guest address
 *
 * A table holds the uplink's own subnets, its default route, and last a route to nowhere: without its uplink a packet
 * of the guest must not leave by another.
 *
 * The firewall's rules for forwarding, in order: the guest's address of a link, out of that link's uplink, and
 * nothing else of the guest's; answers, and nothing else, to the guest; and of an uplink that forwards only because
 * of the appliance nothing at all, so that the host is a router for nobody. Nothing of the guest's begins a connection
 * to the host itself.
 */
import { AF_INET, AF_INET6, inPrefix, type Family } from '../../base/index.ts';
import {
  NfPriority,
  RTN_UNICAST,
  RTNH_F_ONLINK,
  RTPROT_WEFT,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  type NfChain,
  type NfFamily,
  type NfMatch,
  type NfRule,
  type NfTable,
  type Route,
  type RouteSpec,
  type RuleSpec,
} from '../../netlink/index.ts';
import { RULE_PRIORITY, TABLE_NAME, tableOf } from './numbers.ts';
import { endsOf } from './prefixes.ts';
import type { LinkPlan, UplinkHop, UplinkSlot } from './types.ts';

/** "Tell the sender that there is no way" (<linux/rtnetlink.h>). */
const RTN_UNREACHABLE = 7;
/** Behind every route that leads somewhere. */
const LAST_METRIC = 0xffff_fffe;
const IPV6_METRIC = 1024;

export interface HostRouting {
  /** In the order in which the kernel accepts them. */
  readonly routes: readonly RouteSpec[];
  readonly rules: readonly RuleSpec[];
}

const FAMILIES: readonly Family[] = [AF_INET, AF_INET6];

const isLinkLocal6 = (address: string) => inPrefix(address, { address: 'fe80::', length: 10 });

/** The uplink's own subnets as the main table has them. */
function subnetsOf(linkIndex: number, family: Family, routes: readonly Route[]): Route[] {
  return routes.filter(
    (route) =>
      route.family === family &&
      route.table === RT_TABLE_MAIN &&
      route.type === RTN_UNICAST &&
      route.gateway === undefined &&
      route.linkIndex === linkIndex &&
      route.destination !== undefined &&
      route.destination.length > 0 &&
      !(family === AF_INET6 && isLinkLocal6(route.destination.address)),
  );
}

function routesOf(
  slot: UplinkSlot,
  family: Family,
  hop: UplinkHop | undefined,
  main: readonly Route[],
): RouteSpec[] {
  const priority = family === AF_INET ? 0 : IPV6_METRIC;
  const common = { family, table: tableOf(slot.slot), protocol: RTPROT_WEFT };
  // A route without gateway reaches no farther than the link, in the kernel's book-keeping for IPv4.
  const linkScope = family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const nowhere = {
    ...common,
    type: RTN_UNREACHABLE,
    priority: LAST_METRIC,
    scope: RT_SCOPE_UNIVERSE,
    flags: 0,
  };
  if (hop === undefined) return [nowhere];
  const { linkIndex } = slot.uplink;
  const subnets = subnetsOf(linkIndex, family, main);
  const { gateway } = hop;
  const reached =
    gateway === undefined ||
    (gateway.includes(':') && isLinkLocal6(gateway)) ||
    subnets.some(({ destination }) => destination !== undefined && inPrefix(gateway, destination));
  const direct = { ...common, type: RTN_UNICAST, priority };
  return [
    ...subnets.map((subnet) =>
      Object.assign({ destination: subnet.destination!, linkIndex, scope: linkScope, flags: 0 }, direct),
    ),
    {
      ...common,
      type: RTN_UNICAST,
      linkIndex,
      priority,
      scope: gateway === undefined ? linkScope : RT_SCOPE_UNIVERSE,
      flags: reached ? 0 : RTNH_F_ONLINK,
      ...(gateway === undefined ? {} : { gateway }),
    },
    nowhere,
  ];
}

const hopOf = ({ uplink }: UplinkSlot, family: Family): UplinkHop | undefined => {
  if (!uplink.usable) return undefined;
  return family === AF_INET ? uplink.ipv4 : uplink.ipv6;
};

/** @param routes of the host's main table */
export function planRouting(plan: LinkPlan, routes: readonly Route[]): HostRouting {
  const wanted: RouteSpec[] = [];
  const rules: RuleSpec[] = [];
  for (const slot of plan.uplinks) {
    for (const family of FAMILIES) {
      wanted.push(...routesOf(slot, family, hopOf(slot, family), routes));
      rules.push({
        family,
        priority: RULE_PRIORITY,
        inputLink: slot.tapName,
        table: tableOf(slot.slot),
        protocol: RTPROT_WEFT,
      });
    }
  }
  return { routes: wanted, rules };
}

/** Links that have to forward, by IP version. */
export function planForwarding(plan: LinkPlan): {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
} {
  const linksOf = (family: Family) =>
    plan.uplinks
      .filter((slot) => hopOf(slot, family) !== undefined)
      .flatMap(({ tapName, uplink }) => [tapName, uplink.linkName]);
  return { ipv4: linksOf(AF_INET), ipv6: linksOf(AF_INET6) };
}

/** What only the appliance's own packets may pass: one link, or all of an IP version. */
export interface Guard {
  readonly family: NfFamily;
  readonly link?: string;
}

const inputIs = (is: string): NfMatch => ({ match: 'inputLink', is });
const outputIs = (is: string): NfMatch => ({ match: 'outputLink', is });
const drop = (...when: NfMatch[]): NfRule => ({ when, verdict: { action: 'drop' } });
const accept = (...when: NfMatch[]): NfRule => ({ when, verdict: { action: 'accept' } });
const ANSWERS: NfMatch = { match: 'connectionState', in: ['established', 'related'] };

const guestsOf = ({ prefixes }: UplinkSlot) => [endsOf(prefixes.ipv4).guest, endsOf(prefixes.ipv6).guest];

function forwardChain(plan: LinkPlan, guards: readonly Guard[]): NfChain {
  const toUplink = plan.uplinks.flatMap((slot) =>
    guestsOf(slot).map(({ address }) =>
      accept(inputIs(slot.tapName), outputIs(slot.uplink.linkName), {
        match: 'source',
        in: { address, length: address.includes(':') ? 128 : 32 },
      }),
    ),
  );
  const toGuest = plan.uplinks.map((slot) =>
    accept(inputIs(slot.uplink.linkName), outputIs(slot.tapName), ANSWERS),
  );
  const taps = [plan.host, ...plan.uplinks].map(({ tapName }) => tapName);
  return {
    name: 'forward',
    type: 'filter',
    hook: 'forward',
    priority: NfPriority.filter,
    rules: [
      ...toUplink,
      ...toGuest,
      ...taps.flatMap((name) => [drop(inputIs(name)), drop(outputIs(name))]),
      ...guards.map(({ family, link }) =>
        drop({ match: 'family', is: family }, ...(link === undefined ? [] : [inputIs(link)])),
      ),
    ],
  };
}

function inputChain(plan: LinkPlan): NfChain {
  const taps = [plan.host, ...plan.uplinks].map(({ tapName }) => tapName);
  return {
    name: 'input',
    type: 'filter',
    hook: 'input',
    priority: NfPriority.filter,
    rules: taps.flatMap((name) => [
      accept(inputIs(name), ANSWERS),
      // Neighbour discovery, without which IPv6 does not begin; the kernel limits what it answers.
      accept(inputIs(name), { match: 'protocol', is: 'icmpv6' }),
      accept(inputIs(name), { match: 'protocol', is: 'icmp' }),
      drop(inputIs(name)),
    ]),
  };
}

function sourceNatChain(plan: LinkPlan): NfChain {
  return {
    name: 'postrouting',
    type: 'nat',
    hook: 'postrouting',
    priority: NfPriority.sourceNat,
    rules: plan.uplinks.flatMap((slot) =>
      guestsOf(slot).map(({ address }) => ({
        when: [
          outputIs(slot.uplink.linkName),
          { match: 'source', in: { address, length: address.includes(':') ? 128 : 32 } } as const,
        ],
        verdict: { action: 'masquerade' } as const,
      })),
    ),
  };
}

/** @param guards what forwards only because the appliance switched it on */
export function planFirewall(plan: LinkPlan, guards: readonly Guard[]): NfTable {
  return {
    name: TABLE_NAME,
    chains: [forwardChain(plan, guards), inputChain(plan), sourceNatChain(plan)],
  };
}
