/**
 * How far to raise the path manager's limits (pure). They are one number each for the whole network namespace, so
 * they are only ever raised, the former value is remembered, and it is put back when the number is still the one
 * that Weft set. A limit that somebody else changes meanwhile is theirs from then on.
 */
import type { Limits } from '../mptcp/index.ts';

export type LimitName = keyof Limits;
export const LIMIT_NAMES = ['addAddrAccepted', 'subflows'] as const satisfies readonly LimitName[];

export interface RaisedLimit {
  readonly former: number;
  /** What Weft set; anything else in the kernel is another's doing. */
  readonly set: number;
}

export type RaisedLimits = Readonly<Partial<Record<LimitName, RaisedLimit>>>;

/**
 * What a number of endpoints needs. `endpoints` are those of one family, because a connection uses only one.
 *
 * - as many announced addresses as there are paths: a server behind a load balancer announces the address that is
 *   to be joined, and each path may join it;
 * - subflows: one for each path (the first connection's own counts only when its address is no endpoint), and one
 *   for each announced address.
 */
export function neededLimits(endpoints: number): Limits {
  return endpoints < 2
    ? { addAddrAccepted: 0, subflows: 0 }
    : { addAddrAccepted: endpoints, subflows: endpoints * 2 };
}

/**
 * What mptcpd's plugin addr_adv sets for a number of local addresses of both families: two more than there are, for
 * the subflows, and as many announced addresses when its endpoints are for subflows.
 */
export function addressLimits(addresses: number, forSubflows: boolean): Limits {
  return { subflows: addresses + 2, addAddrAccepted: forSubflows ? addresses + 2 : 0 };
}

export interface LimitsPlan {
  /** What to set; empty when nothing. */
  readonly set: Partial<Limits>;
  /** It lowers what Weft raised: the record is written after the deed, so that it never tells of less. */
  readonly lowers: boolean;
  /** The record after setting it. */
  readonly raised: RaisedLimits;
  /** Limits that another program changed after Weft did. */
  readonly lost: readonly LimitName[];
}

export interface LimitsState {
  readonly present: Limits;
  readonly raised: RaisedLimits;
  /** Limits that are left alone. */
  readonly handsOff: ReadonlySet<LimitName>;
  /** What the kernel takes at most; absent until it refused more. */
  readonly maximum?: number;
  /** Whether limits that Weft raised go down again, to no less than before, when less is needed. */
  readonly follow?: boolean;
}

export function planLimits(needed: Limits, state: LimitsState): LimitsPlan {
  const set: { -readonly [K in LimitName]?: number } = {};
  const raised: { -readonly [K in LimitName]?: RaisedLimit } = {};
  const lost: LimitName[] = [];
  const lower: { name: LimitName; to: number; former: number }[] = [];
  for (const name of LIMIT_NAMES) {
    const present = state.present[name];
    const known = state.raised[name];
    if (state.handsOff.has(name)) continue;
    if (known !== undefined && known.set !== present) {
      lost.push(name);
      continue;
    }
    const target = Math.min(needed[name], state.maximum ?? Infinity);
    if (target > present) {
      set[name] = target;
      raised[name] = { former: known?.former ?? present, set: target };
    } else if (known !== undefined) {
      raised[name] = known;
      const to = Math.max(target, known.former);
      if (state.follow === true && to < present) lower.push({ name, to, former: known.former });
    }
  }
  // One after the other, because the record is written before a limit is raised and after it is lowered.
  if (lower.length === 0 || Object.keys(set).length > 0) return { set, raised, lost, lowers: false };
  for (const { former, name, to } of lower) {
    set[name] = to;
    if (to === former) delete raised[name];
    else raised[name] = { former, set: to };
  }
  return { set, raised, lost, lowers: true };
}

/**
 * What is left of an earlier process's record: a limit that is as it was before was not raised yet, or is put back
 * already, when that process was killed between the record and the deed.
 */
export function stillRaised(state: Pick<LimitsState, 'present' | 'raised'>): RaisedLimits {
  const raised: { -readonly [K in LimitName]?: RaisedLimit } = {};
  for (const name of LIMIT_NAMES) {
    const known = state.raised[name];
    if (known !== undefined && known.former !== state.present[name]) raised[name] = known;
  }
  return raised;
}

/** What to set so that the limits are as before; a limit that is not as Weft set it stays. */
export function planRestore(state: Pick<LimitsState, 'present' | 'raised'>): Partial<Limits> {
  const set: { -readonly [K in LimitName]?: number } = {};
  for (const name of LIMIT_NAMES) {
    const known = state.raised[name];
    if (known !== undefined && known.set === state.present[name]) set[name] = known.former;
  }
  return set;
}
