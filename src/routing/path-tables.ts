/**
 * Which table holds which path (pure). An address keeps its table as long as its rule stands; a new one gets the
 * first that nobody uses, neither another program nor a path that is just going.
 */
import type { Prefix } from '../base/index.ts';
import { FR_ACT_TO_TBL, RTN_UNICAST, type Rule } from '../netlink/index.ts';
import type { HostView } from './host.ts';
import { hopsOf, isDefault } from './links.ts';
import { FIRST_TABLE, isOwnRoute, isOwnRule, isPathTable } from './numbers.ts';
import type { HostPath } from './paths.ts';

/** The main table's own rule. */
const MAIN_RULE_PRIORITY = 32_766;

export interface TableUse {
  readonly table: number;
  /** `false`: the host's administration has a rule and table for this address already, which serve as well. */
  readonly own: boolean;
}

export function hostPrefix(address: string): Prefix {
  return { address, length: address.includes(':') ? 128 : 32 };
}

const samePrefix = (a: Prefix | undefined, b: Prefix) => a?.address === b.address && a.length === b.length;

/** A table of someone else's that already does for this path what ours would. */
function foreignTableFor(path: HostPath, view: HostView): number | undefined {
  const rule = view.rules.find(
    (candidate) =>
      !isOwnRule(candidate) &&
      candidate.family === path.family &&
      candidate.action === FR_ACT_TO_TBL &&
      candidate.priority < MAIN_RULE_PRIORITY &&
      samePrefix(candidate.source, hostPrefix(path.address)) &&
      candidate.destination === undefined &&
      candidate.inputLink === undefined &&
      candidate.outputLink === undefined &&
      candidate.mark === undefined,
  );
  if (rule === undefined) return undefined;
  const leads = view.routes.some(
    (route) =>
      route.family === path.family &&
      route.table === rule.table &&
      route.type === RTN_UNICAST &&
      isDefault(route) &&
      hopsOf(route).some((hop) => hop.linkIndex === path.linkIndex),
  );
  return leads ? rule.table : undefined;
}

/** Tables that hold, or are pointed to by, something that is not Weft's. */
function foreignTables(view: HostView): Set<number> {
  const taken = new Set<number>();
  for (const route of view.routes) if (!isOwnRoute(route)) taken.add(route.table);
  for (const rule of view.rules) if (!isOwnRule(rule)) taken.add(rule.table);
  return taken;
}

/** Weft's own rule for a path. */
export const isRuleFor = (rule: Rule, path: HostPath) =>
  isOwnRule(rule) && rule.family === path.family && samePrefix(rule.source, hostPrefix(path.address));

/** A table of Weft's own that leads out by the path's link and has lost its rule, or did not get it yet. */
function orphanFor(path: HostPath, view: HostView): number | undefined {
  return view.routes.find(
    (route) =>
      isOwnRoute(route) &&
      route.family === path.family &&
      route.type === RTN_UNICAST &&
      isDefault(route) &&
      route.linkIndex === path.linkIndex &&
      !view.rules.some((rule) => isOwnRule(rule) && rule.table === route.table),
  )?.table;
}

/** One table for each path: the one it has, else the first that nobody uses. */
export function chooseTables(paths: readonly HostPath[], view: HostView): Map<string, TableUse> {
  const uses = new Map<string, TableUse>();
  const foreign = foreignTables(view);
  const taken = new Set(foreign);
  const homeless: HostPath[] = [];
  for (const path of paths) {
    const others = foreignTableFor(path, view);
    if (others !== undefined) {
      uses.set(path.address, { table: others, own: false });
      continue;
    }
    const table = view.rules.find((rule) => isRuleFor(rule, path))?.table ?? orphanFor(path, view);
    if (table === undefined || taken.has(table)) homeless.push(path);
    else {
      uses.set(path.address, { table, own: true });
      taken.add(table);
    }
  }
  // Tables of vanished paths are emptied in the same plan; until then they are not free.
  for (const item of [...view.routes.filter(isOwnRoute), ...view.rules.filter(isOwnRule)]) {
    taken.add(item.table);
  }
  let next = FIRST_TABLE;
  for (const path of homeless) {
    while (taken.has(next)) next++;
    if (!isPathTable(next)) break;
    uses.set(path.address, { table: next, own: true });
    taken.add(next);
  }
  return uses;
}
