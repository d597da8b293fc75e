/**
 * What the proxy's policy is made of: who asks, for what, and which way the answer is. Plain data, written by the
 * rules file (service/proxy-rules*) or by options, read by compile.ts. No behaviour here.
 *
 * Invariant: addresses are in canonical text, IPv4-mapped ones as IPv4; names are in lower case without a last dot.
 */
import type { Prefix } from '../../base/index.ts';
import type { UpstreamProxy } from '../upstream/types.ts';

/** Who asks. */
export interface ClientIdentity {
  /** Canonical address; `0.0.0.0` when the connection has gone already. */
  readonly address: string;
  /** Not of this host: it may not reach what only this host can. */
  readonly remote: boolean;
  /** Who it has proved to be; absent where no users are asked for. */
  readonly user?: string;
}

/** What is asked for. */
export interface Destination {
  /** A name in lower case without a last dot, or an address in canonical text. */
  readonly host: string;
  readonly port: number;
}

/** How a destination is reached. */
export type Way =
  /** Plain TCP from this host. */
  | { readonly kind: 'direct' }
  /** MPTCP where it can be had. */
  | { readonly kind: 'multipath' }
  /** A tunnel through the named upstream proxy. */
  | { readonly kind: 'upstream'; readonly upstream: string }
  | { readonly kind: 'refuse'; readonly reason?: string };

/** Inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** `example.org` alone, or with `subdomains` everything below it and not itself (`*.example.org`). */
export interface NamePattern {
  readonly name: string;
  readonly subdomains: boolean;
}

/** A rule counts when each condition that it has is met; of a list one member suffices. */
export interface ProxyRule {
  /** Destinations. Absent: every one. Both lists empty: none. */
  readonly to?: { readonly names: readonly NamePattern[]; readonly prefixes: readonly Prefix[] };
  readonly ports?: readonly PortRange[];
  /** Client addresses. */
  readonly from?: readonly Prefix[];
  readonly users?: readonly string[];
  readonly way: Way;
  /** Where it stands, for people: `rules.toml:12`. */
  readonly place?: string;
}

/** What one client may have at once. Absent: no bound but those of the whole proxy. */
export interface ClientLimits {
  readonly connections?: number;
  readonly tunnels?: number;
  readonly newPerSecond?: number;
}

export interface UserSettings {
  /** What a password is checked against; checked by users.ts. */
  readonly password: string;
}

/** Everything that can be changed while the proxy runs. */
export interface ProxyPolicy {
  /** The first that counts decides. BOUNDED by MAX_RULES. */
  readonly rules: readonly ProxyRule[];
  /** By name. BOUNDED by MAX_UPSTREAMS. */
  readonly upstreams: ReadonlyMap<string, UpstreamProxy>;
  /** By name; not empty: every client must be one of them. BOUNDED by MAX_USERS. */
  readonly users: ReadonlyMap<string, UserSettings>;
  /** For each client address, and for each user. */
  readonly limits: ClientLimits;
  /** When no rule counts. */
  readonly defaultWay: Way;
}

export const MAX_RULES = 100_000;
export const MAX_UPSTREAMS = 256;
export const MAX_USERS = 10_000;

export const DEFAULT_POLICY: ProxyPolicy = {
  rules: [],
  upstreams: new Map(),
  users: new Map(),
  limits: {},
  defaultWay: { kind: 'multipath' },
};
