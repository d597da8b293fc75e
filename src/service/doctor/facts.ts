/**
 * What `weft doctor` knows about a host before it judges: plain facts, collected by collect.ts and judged by the
 * checks, which are pure. A fact that could not be had is absent, and the check that needs it says so.
 */
import type { Endpoint, Limits } from '../../mptcp/index.ts';
import type { InterfaceAddress, Link, Rule } from '../../netlink/index.ts';
import type { PathReading } from '../observe/model.ts';
import type { FirewallFinding } from './firewall.ts';
import type { ForwardChain } from './forwarding.ts';
import type { PeerFacts } from './peer-facts.ts';

/** A link's address that has a route to the world. */
export interface PathFact {
  readonly link: string;
  readonly linkIndex: number;
  readonly address: string;
  readonly gateway?: string;
  /** It has no route known, and what is asked for is not on its network: an answer without a gateway is a guess. */
  readonly needsGateway?: boolean;
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
  | {
      readonly looked: true;
      readonly findings: readonly FirewallFinding[];
      readonly unseen?: string;
      /** Chains that drop what no rule lets pass through this host. */
      readonly forwardChains?: readonly ForwardChain[];
    }
  | { readonly looked: false; readonly why: string };

/** What a Weft that runs here says of itself. */
export interface RunningFact {
  readonly pid: number;
  readonly mode: string;
  /** `false`: started with --no-multipath. */
  readonly multipath?: boolean;
  /** `appliance`: a virtual machine's kernel has the multipath connections. */
  readonly backend?: string;
}

/** The path-management daemon that runs here. */
export interface DaemonFact {
  readonly pid: number;
  /** The plugin that new connections go to. */
  readonly plugin?: string;
  /** It opens subflows itself, for which the kernel must leave connections to it. */
  readonly opensSubflows: boolean;
}

/** The MPTCP connections of the host in numbers, listeners left out. */
export interface ConnectionTally {
  /** That speak MPTCP. */
  readonly mptcp: number;
  /** MPTCP sockets that became plain TCP. */
  readonly fallbacks: number;
  /** With one subflow at least beside the first. */
  readonly several: number;
  /** With as many subflows as their limit allows, the limit not being 0. */
  readonly atLimit: number;
}

export interface HostFacts {
  /** When they were collected, milliseconds since 1970. */
  readonly time: number;
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
  readonly running?: RunningFact;
  readonly daemon?: DaemonFact;
  readonly tally?: ConnectionTally;
  /** Paths as an observer sees them, those included that do not work now. */
  readonly observedPaths?: readonly PathReading[];
  /** What was looked up for one connection's other end. */
  readonly peer?: PeerFacts;
}

export type Verdict = 'ok' | 'warn' | 'fail' | 'unknown';

/** One thing that was read, by the name that others know it by: a counter, a setting, a look-up. */
export interface ReadFact {
  readonly name: string;
  readonly value: string;
}

export interface CheckResult {
  /** Stable name for programs: `kernel`, `limits` … */
  readonly id: string;
  /** What exactly was found, also a stable name (finding-ids.ts); absent when all is well. */
  readonly cause?: string;
  /** What the verdict rests on. */
  readonly facts?: readonly ReadFact[];
  readonly verdict: Verdict;
  /** What was seen, in one or two sentences. */
  readonly evidence: string;
  /** What to do: sentences or exact commands. */
  readonly advice: readonly string[];
}

export type Check = (facts: HostFacts) => CheckResult | undefined;
