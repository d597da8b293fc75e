/**
 * What `weft doctor` knows about a host before it judges: plain facts, collected by collect.ts and judged by the
 * checks, which are pure. A fact that could not be had is absent, and the check that needs it says so.
 */
import type { Endpoint, Limits } from '../../mptcp/index.ts';
import type { InterfaceAddress, Link, Rule } from '../../netlink/index.ts';
import type { FirewallFinding } from './firewall.ts';

/** A link's address that has a route to the world. */
export interface PathFact {
  readonly link: string;
  readonly linkIndex: number;
  readonly address: string;
  readonly gateway?: string;
}

/** Where the kernel would send a packet that comes from a path's address. */
export type LookupAnswer =
  | { readonly linkIndex: number; readonly gateway?: string }
  /** `ENETUNREACH` and the like. */
  | { readonly error: string };

export interface LookupFact {
  readonly path: PathFact;
  readonly destination: string;
  /** As the first subflow of a connection goes: by source address only. */
  readonly bySource: LookupAnswer;
  /** As a subflow of an endpoint with `dev` goes: bound to the link. */
  readonly byLink: LookupAnswer;
}

export type FirewallFacts =
  | { readonly looked: true; readonly findings: readonly FirewallFinding[]; readonly unseen?: string }
  | { readonly looked: false; readonly why: string };

export interface HostFacts {
  /** `process.platform` */
  readonly platform: string;
  readonly architecture: string;
  /** `uname -r` */
  readonly kernelRelease: string;
  /** Whether the kernel opens an MPTCP socket. */
  readonly mptcpSocket: { readonly ok: true } | { readonly ok: false; readonly reason: string };
  /** Dotted name to value; names that the kernel does not have are absent. */
  readonly sysctls: ReadonlyMap<string, string>;
  /** CAP_NET_ADMIN over this network namespace, as the kernel sees it. */
  readonly netAdmin?: boolean;
  readonly links?: readonly Link[];
  readonly addresses?: readonly InterfaceAddress[];
  readonly rules?: readonly Rule[];
  /** The usable ones. */
  readonly paths?: readonly PathFact[];
  /** How many doors one connection can use; fewer than `paths` when some share link and gateway. */
  readonly uplinkCount?: number;
  /** The VPN that carries what this host sends by default. */
  readonly tunnel?: string;
  /** Links, and addresses of links, that are no usable path. */
  readonly ignoredLinks?: readonly { readonly link: string; readonly why: string }[];
  readonly endpoints?: readonly Endpoint[];
  readonly limits?: Limits;
  readonly lookups?: readonly LookupFact[];
  /** Of `MPTcpExt`; absent names count as 0. */
  readonly counters?: ReadonlyMap<string, number>;
  readonly firewall: FirewallFacts;
  /** The Weft that runs in this network namespace, when one answers. */
  readonly running?: { readonly pid: number; readonly mode: string };
}

export type Verdict = 'ok' | 'warn' | 'fail' | 'unknown';

export interface CheckResult {
  /** Stable name for programs: `kernel`, `limits` … */
  readonly id: string;
  readonly verdict: Verdict;
  /** What was seen, in one or two sentences. */
  readonly evidence: string;
  /** What to do: sentences or exact commands. */
  readonly advice: readonly string[];
}

export type Check = (facts: HostFacts) => CheckResult | undefined;
