/**
 * What the proxy counts, and what it tells of one connection. Plain data; only `service` gives it to others.
 */

/** Why a request was answered by the proxy itself. */
export type Refusal =
  | 'malformed'
  | 'header-too-large'
  | 'header-timeout'
  | 'not-allowed'
  | 'bad-target'
  | 'not-implemented'
  | 'loop'
  | 'too-many-tunnels'
  | 'too-many-connections'
  | 'too-many-requests'
  /** More than one client may have (client-limits.ts). */
  | 'client-limit'
  /** Users are asked for: none was named, a wrong one, or too many wrong ones before. */
  | 'user-missing'
  | 'user-wrong'
  | 'user-slowed'
  /** At a far end: its address has failed to prove who it is too often. */
  | 'slowed'
  | 'accept-failed';

/** All counted since the start. */
export interface ProxyCounters {
  readonly clientConnections: number;
  /** Plain requests, CONNECT not counted. */
  readonly requests: number;
  /** Requests that failed after their upstream connection was there. */
  readonly exchangesFailed: number;
  /** Requests sent again because a kept upstream connection turned out to be dead. */
  readonly requestsRetried: number;
  readonly tunnelsOpened: number;
  readonly tunnelsOpen: number;
  readonly tunnelsClosed: number;
  readonly tunnelsClosedByReason: Readonly<Record<string, number>>;
  /** Upstream connections that could not be made. */
  readonly dialsFailed: number;
  readonly dialsFailedByReason: Readonly<Record<string, number>>;
  readonly upstreamsMptcp: number;
  readonly upstreamsTcp: number;
  readonly fallbacksByReason: Readonly<Record<string, number>>;
  readonly refused: number;
  readonly refusedByReason: Readonly<Record<string, number>>;
  /** From clients, bodies and tunnelled bytes of all connections, also those still open. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** SOCKS UDP ASSOCIATE. */
  readonly udpAssociations: number;
  readonly udpAssociationsOpen: number;
  /** From clients, and to them; those that were dropped not counted. */
  readonly datagramsUp: number;
  readonly datagramsDown: number;
  /** Their payload. */
  readonly datagramBytesUp: number;
  readonly datagramBytesDown: number;
  readonly datagramsDropped: number;
  readonly datagramsDroppedByReason: Readonly<Record<string, number>>;
}

/** How the client asked. */
export type ConnectionKind = 'connect' | 'http' | 'socks' | 'transparent';

/** One connection through the proxy, as long as its upstream connection is open. */
export interface ProxyConnection {
  readonly id: number;
  readonly kind: ConnectionKind;
  /** `address:port` of the client; for a kept http connection that of its latest one. */
  readonly client: string;
  /** `host:port` as asked for. */
  readonly target: string;
  /** `address:port` it leads to. */
  readonly remote: string;
  readonly protocol: 'mptcp' | 'tcp';
  readonly fallbackReason?: string;
  /** Name of the upstream proxy that it leads through. */
  readonly via?: string;
  /** Who the client has proved to be. */
  readonly user?: string;
  /** MPTCP's local token, as sock_diag and events have it. */
  readonly token?: number;
  /** Of its socket, where that is MPTCP's and fell back: sock_diag has it, and nothing else in common with this. */
  readonly inode?: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Date.now() when the upstream connection was there. */
  readonly openedAtMs: number;
}

/** BOUNDED: the kinds are a few fixed texts; beyond this many they are counted together. */
const MAX_KINDS = 32;

/** Counts by kind. */
export class Tally {
  readonly #counts = new Map<string, number>();
  total = 0;

  add(kind: string, count = 1): void {
    this.total += count;
    const key = this.#counts.has(kind) || this.#counts.size < MAX_KINDS ? kind : 'other';
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
  }

  byKind(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}

/** The counters while they count. */
export class ProxyTallies {
  clientConnections = 0;
  requests = 0;
  exchangesFailed = 0;
  requestsRetried = 0;
  tunnelsOpened = 0;
  upstreamsMptcp = 0;
  upstreamsTcp = 0;
  /** Of connections that have ended. */
  bytesUp = 0;
  bytesDown = 0;
  /** Kinds: those of TunnelEnd, DialFailure, the texts that mptcp gives, Refusal. */
  readonly tunnelEnds = new Tally();
  readonly dialFailures = new Tally();
  readonly fallbacks = new Tally();
  readonly refusals = new Tally();

  /** An upstream connection was made. */
  addUpstream(protocol: 'mptcp' | 'tcp', fallbackReason: string | undefined): void {
    if (protocol === 'mptcp') this.upstreamsMptcp++;
    else this.upstreamsTcp++;
    if (fallbackReason !== undefined) this.fallbacks.add(fallbackReason);
  }
}
