/**
 * The face that all schedulers have: which paths carry the next packet. Pure; time and measures are given.
 *
 * Paths are bits: path 3 is 1 << 3, so that an answer is one number and nothing is allocated per packet. A connection
 * has at most 20 paths.
 *
 * Invariant: the answer has usable paths only, and is 0 exactly when no path is usable.
 */

/** What is known of a path when something changed. */
export interface PathView {
  readonly isUsable: boolean;
  /** 1 to 10,000. */
  readonly weight: number;
  /** Smoothed round trip; absent while unknown. */
  readonly rttUs?: number;
  /** What the path can carry; absent while unknown. */
  readonly capacityBps?: number;
  /** Part of the packets that are lost, 0 to 1; absent while unknown. */
  readonly lossRatio?: number;
}

export interface Scheduler {
  /** Whether `choose` needs the packet's flow hash; otherwise 0 will do. */
  readonly needsFlowHash: boolean;
  /**
   * Paths for one packet of `bytes`, as bits; several only for copies. Called once per packet.
   * `flowHash`: 32 bits, equal for packets of one flow.
   */
  choose(bytes: number, flowHash: number, nowUs: number): number;
  /** Takes the paths as they are now, in the order of their indexes, always as many. */
  update(paths: readonly PathView[], nowUs: number): void;
}

export const SCHEDULER_PATHS_MAX = 31;

/** The usable paths as bits. */
export function usableBits(paths: readonly PathView[]): number {
  let bits = 0;
  for (const [index, path] of paths.entries()) if (path.isUsable) bits |= 1 << index;
  return bits;
}

/** Index of the lowest path in `bits`, or -1. */
export function firstPath(bits: number): number {
  return bits === 0 ? -1 : 31 - Math.clz32(bits & -bits);
}

/** `bits` without its lowest path. */
export function withoutFirstPath(bits: number): number {
  return bits & (bits - 1);
}
