/**
 * What a table of nftables is made of: plain data, said in Weft's own words. Only what Weft itself installs; not a
 * general model of nftables, and not what a table of others may hold.
 *
 * A table is of the family `inet`, so that its rules see IPv4 and IPv6; a match that only one of them can meet
 * (`source`, `destination`) holds for that one.
 *
 * References: nft(8).
 */
import type { Prefix } from '../base/ip.ts';

/** The address families of rules. */
export type NfFamily = 'ipv4' | 'ipv6';

export type NfConnectionState = 'new' | 'established' | 'related' | 'invalid';

/** One condition. A rule counts when all of its are met; `not` turns one round. */
export type NfMatch =
  | { readonly match: 'family'; readonly is: NfFamily }
  | { readonly match: 'protocol'; readonly is: 'tcp' | 'udp' | 'icmp' | 'icmpv6' }
  /** By name, as it is when the packet comes; the link need not exist yet. */
  | { readonly match: 'inputLink' | 'outputLink'; readonly is: string; readonly not?: boolean }
  | { readonly match: 'source' | 'destination'; readonly in: Prefix; readonly not?: boolean }
  /** Needs a `protocol` of tcp or udp before it in the rule. */
  | { readonly match: 'destinationPort'; readonly is: number; readonly not?: boolean }
  /** What the routing tables say of the destination: an address of this host, or not. */
  | { readonly match: 'destinationIsLocal'; readonly not?: boolean }
  /** SO_MARK of the socket, as long as nothing changed it. */
  | { readonly match: 'mark'; readonly is: number; readonly not?: boolean }
  /** The first packet of a TCP connection: of SYN, ACK, FIN and RST only SYN. Needs a `protocol` of tcp before it. */
  | { readonly match: 'tcpOpening' }
  | { readonly match: 'connectionState'; readonly in: readonly NfConnectionState[] }
  /** Whether the connection's destination was rewritten (by redirect or DNAT). */
  | { readonly match: 'isRedirected'; readonly not?: boolean };

export type NfAction =
  /** `accept` and `return` end this chain; a chain of others at the same hook still sees the packet. */
  | { readonly action: 'accept' | 'drop' | 'return' }
  /** To this host's own `port`: of 127.0.0.1 and ::1 in `output`, of the incoming link's address in `prerouting`. */
  | { readonly action: 'redirect'; readonly port: number }
  /** The source becomes the address of the link that the packet leaves by. Only in `postrouting`. */
  | { readonly action: 'masquerade' }
  /** The source becomes `to`. Only in `postrouting`, and only for packets of its family. */
  | { readonly action: 'sourceNat'; readonly to: string }
  | { readonly action: 'reject'; readonly with: 'tcp-reset' | 'port-unreachable' | 'admin-prohibited' };

export interface NfRule {
  readonly when: readonly NfMatch[];
  readonly verdict: NfAction;
  /** Shown by `nft list`; at most 120 bytes. */
  readonly comment?: string;
}

export interface NfChain {
  readonly name: string;
  /** `nat` chains see only the first packet of a connection. */
  readonly type: 'filter' | 'nat';
  readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  /** NfPriority, or a number of one's own; those of lower numbers see a packet first. */
  readonly priority: number;
  /** For packets that no rule decided. Default `accept`. */
  readonly policy?: 'accept' | 'drop';
  /** BOUNDED by NF_MAX_RULES for the whole table. */
  readonly rules: readonly NfRule[];
}

export interface NfTable {
  /** At most 31 bytes; one for each purpose of each network namespace. */
  readonly name: string;
  readonly chains: readonly NfChain[];
}

/** <linux/netfilter_ipv4.h>, enum nf_ip_hook_priorities. */
export const NfPriority = { destinationNat: -100, filter: 0, sourceNat: 100 } as const;

/** What one transaction can carry, also where socket buffers may not be made larger (in a user namespace). */
export const NF_MAX_RULES = 500;
