/**
 * The numbers and names by which the appliance's part of the host is known: they are what a crash leaves behind to be
 * found by. Nothing outside of them is ever deleted. They are apart from those of src/routing, which takes only its
 * own for its own.
 */
import { RTPROT_WEFT, type Route, type Rule } from '../../netlink/index.ts';

/** BOUNDED: as many uplinks as one MPTCP connection can use (MPTCP_PM_ADDR_MAX), and as many PCI ports as the guest gets. */
export const UPLINKS_MAX = 8;
/** The link that only the host has. */
export const HOST_SLOT = 0;

/** Table of slot 1; the others follow. */
const FIRST_TABLE = 18_100;
/** Of the rules "what the guest sends by this TAP link looks in that table"; behind those of VPNs and before the main table's. */
export const RULE_PRIORITY = 17_900;

export function tableOf(slot: number): number {
  return FIRST_TABLE + slot;
}

const isTable = (table: number) => table >= FIRST_TABLE && table <= FIRST_TABLE + UPLINKS_MAX;

export function isApplianceRule(rule: Rule): boolean {
  return rule.protocol === RTPROT_WEFT && rule.priority === RULE_PRIORITY && isTable(rule.table);
}

export function isApplianceRoute(route: Route): boolean {
  return route.protocol === RTPROT_WEFT && isTable(route.table);
}

/** `weftvm0` is the host's own link, `weftvm1` to `weftvm8` stand for uplinks. */
export function tapNameOf(slot: number): string {
  return `weftvm${slot}`;
}

export const TAP_NAMES: readonly string[] = Array.from({ length: UPLINKS_MAX + 1 }, (_, slot) =>
  tapNameOf(slot),
);

/** Locally administered; nobody but this host and its guest ever sees it. */
export function macOf(slot: number): string {
  return `02:77:65:66:74:${slot.toString(16).padStart(2, '0')}`;
}

export const TABLE_NAME = 'weft-appliance';
