/**
 * Who owns what may be changed of a host's multipath, as the actions see it (types only): the supervisor of `weft up`,
 * or the daemon. What has an owner is changed through it, or the owner would put it back.
 */
import type { WeftError } from '../../base/index.ts';
import type { Limits } from '../../mptcp/index.ts';

export interface HostControl {
  /** Why nothing can be changed here; `undefined`: it can. */
  refusal(): WeftError | undefined;
  /** Whether the endpoint is one that the owner made and keeps in order. */
  ownsEndpoint(id: number): boolean;
  /**
   * Makes the paths of a link backup or normal, now and as long as the owner runs.
   * @returns how many subflows were changed one by one, beside those that follow endpoints
   * @throws WeftError `NO_SUCH_LINK`, `NO_INTERFACE`
   */
  setPath(link: string, backup: boolean): Promise<number>;
  /** Sets limits for a user, who knows better than the owner from then on. @throws NetlinkError */
  setLimits(limits: Partial<Limits>): void;
  /** Something was changed beside the owner. */
  lookNow(): void;
}

/** Where somebody who changes something comes from. */
export type ActionOrigin = 'page' | 'socket';
