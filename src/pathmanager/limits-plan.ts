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

export interface LimitsPlan {
  /** What to set; empty when nothing. */
  readonly set: Partial<Limits>;
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
}

export function planLimits(needed: Limits, state: LimitsState): LimitsPlan {
  const set: { -readonly [K in LimitName]?: number } = {};
  const raised: { -readonly [K in LimitName]?: RaisedLimit } = {};
  const lost: LimitName[] = [];
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
    }
  }
  return { set, raised, lost };
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
