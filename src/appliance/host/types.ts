/**
 * What the host's side of the appliance is made from, as plain data: the host's uplinks as they are, and the links
 * between host and guest that stand for them.
 */
import type { LinkPrefixes } from './prefixes.ts';

/** A default route's next hop; absent gateway: the link itself is the way out. */
export interface UplinkHop {
  readonly gateway?: string;
}

/** One of the host's ways out, as routing found it. */
export interface HostUplink {
  readonly linkName: string;
  readonly linkIndex: number;
  readonly mtuBytes: number;
  /** Something can be sent by it now. An uplink without carrier keeps its place and is not used. */
  readonly usable: boolean;
  /** Present for each IP version of which the uplink has a usable address and a default route. */
  readonly ipv4?: UplinkHop;
  readonly ipv6?: UplinkHop;
  /** Of the host's default route; lower is preferred. */
  readonly metric: number;
  /** Carries data only when no other uplink can. */
  readonly backup: boolean;
}

/**
 * The place of one NIC: which PCI port of the guest, which TAP link of the host. Slot 0 is the link that only the
 * host has, on which the guest's proxy listens.
 */
export interface SlotAddress {
  readonly slot: number;
  /** The TAP link's name on the host. */
  readonly tapName: string;
  readonly mac: string;
  readonly prefixes: LinkPrefixes;
}

/** An uplink with its place. */
export interface UplinkSlot extends SlotAddress {
  readonly uplink: HostUplink;
}

/** All of the links that should be there. */
export interface LinkPlan {
  readonly host: SlotAddress;
  readonly uplinks: readonly UplinkSlot[];
  /** Uplinks for which there is no slot left, by name. */
  readonly omitted: readonly string[];
}
