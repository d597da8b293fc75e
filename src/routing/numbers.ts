/**
 * The numbers by which Weft's part of the host's routing is known: they are what a crash leaves behind to be
 * found by. Nothing outside of them is ever deleted.
 *
 * A rule or route is Weft's own when it carries RTPROT_WEFT *and* stands at these places: other parts of Weft may
 * give routes the same protocol number elsewhere.
 */
import { RTPROT_WEFT, type Route, type Rule } from '../netlink/index.ts';

/** The first of the tables that hold one path each. */
export const FIRST_TABLE = 17_800;
/** BOUNDED: at most this many addresses get a table. */
export const TABLE_COUNT = 256;
/**
 * Of every `from ADDRESS` rule. Behind the rules of VPNs and administrators, which stand below 10,000 by custom
 * (Tailscale 5,210; VRF 1,000), and before the main table's (32,766).
 */
export const RULE_PRIORITY = 17_800;

export function isPathTable(table: number): boolean {
  return table >= FIRST_TABLE && table < FIRST_TABLE + TABLE_COUNT;
}

export function isOwnRule(rule: Rule): boolean {
  return rule.protocol === RTPROT_WEFT && rule.priority === RULE_PRIORITY && isPathTable(rule.table);
}

export function isOwnRoute(route: Route): boolean {
  return route.protocol === RTPROT_WEFT && isPathTable(route.table);
}
