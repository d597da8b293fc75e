/**
 * sspi, "single subflow per interface" (pure), as mptcpd's documentation means it: the peer is told the addresses of
 * the other interfaces, so that it makes the subflows; a second one on the same interface is closed.
 */
import { IDLE_PLAN, linkOf, type LiveSubflow, type Planner } from './subflow-plan.ts';

export const sspiPlanner: Planner = (connection, locals) => {
  const refused = new Map<LiveSubflow, string>();
  const taken = new Set<number>();
  // The oldest stays; the first of them came with the connection.
  for (const subflow of connection.subflows) {
    const link = linkOf(subflow, locals);
    if (link === undefined) continue;
    if (taken.has(link.index)) {
      // mptcpd's own words.
      refused.set(
        subflow,
        `Subflow already exists on network interface (${link.index}). Closing new subflow.`,
      );
    }
    taken.add(link.index);
  }
  const first = locals.find((local) => local.address === connection.local.address);
  const others = locals.filter(
    (local) => first !== undefined && local.usable && local.linkIndex !== first.linkIndex,
  );
  return { ...IDLE_PLAN, announced: others.map((local) => local.address), refused };
};
