/**
 * What Weft sees of a host's multipath, as plain data that JSON can carry: links, paths, peers, connections with their
 * subflows, tunnels, events and history. The page, `weft top`, the metrics and other programs all stand on it.
 *
 * Conventions: `time` and names ending in `AtMs` are milliseconds since 1970; rates are bits per second of payload
 * unless the name says otherwise; what could not be had is absent. Fields are only ever added.
 */
import type { Limits } from '../../mptcp/index.ts';
import type { EndpointReport, IgnoredLink, Mode } from '../control-api.ts';

/**
 * How a path, or one subflow, does:
 *   active   data may go there
 *   backup   used only when no other can
 *   waiting  not usable yet, `why` says what for
 *   stale    there, but nothing comes through
 *   down     its link does not carry, or it is gone
 */
export type PathState = 'active' | 'backup' | 'waiting' | 'stale' | 'down';

/** One link of the host: all that passes it, whoever's it is. */
export interface LinkReading {
  readonly link: string;
  readonly index: number;
  /** `wlan`, `veth` … where the kernel tells. */
  readonly kind?: string;
  readonly up: boolean;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly receivedBitsPerSecond: number;
  readonly sentBitsPerSecond: number;
  /** Receive and transmit errors and drops since the link was made. */
  readonly errors: number;
  readonly drops: number;
}

/** One local address as a way out, with what MPTCP subflows (and proxied TCP connections) carry over it. */
export interface PathReading {
  /** `LINK ADDRESS`: stable while the address stays on the link. */
  readonly id: string;
  readonly link: string;
  readonly address: string;
  readonly gateway?: string;
  readonly family: 4 | 6;
  readonly table?: number;
  readonly endpointId?: number;
  readonly backup: boolean;
  readonly state: PathState;
  /** Why it is not active, in words. */
  readonly why?: string;
  readonly subflows: number;
  /** Sums since Weft looks; they never fall. What a connection moved between the last look at it and its end is missing. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly retransmittedSegments: number;
  /** Segments sent, retransmissions included: the loss is the quotient. */
  readonly sentSegments: number;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
  readonly retransmissionsPerSecond: number;
  /** Retransmitted share of the segments sent in the last ten seconds, 0 to 1. */
  readonly lossShare?: number;
  /** Smoothed round-trip time: the median over its subflows. */
  readonly rttUs?: number;
}

/** The other ends, by address. BOUNDED: the busiest `PEERS_SHOWN_MAX`. */
export interface PeerReading {
  readonly address: string;
  /** A name that a proxied connection asked for. */
  readonly name?: string;
  readonly connections: number;
  readonly subflows: number;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
  /** The way to it over each path that is used. */
  readonly ways: readonly WayReading[];
}

/** What goes over one path to one peer. */
export interface WayReading {
  /** `PathReading.id` */
  readonly path: string;
  readonly subflows: number;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
  readonly rttUs?: number;
}

export const PEERS_SHOWN_MAX = 12;

export interface TunnelPathReading {
  readonly name: string;
  readonly link?: string;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly weight: number;
  readonly state: PathState;
  readonly why?: string;
  /** Of the tunnel's packets since it was made; a reload of its configuration may begin them anew. */
  readonly sentBytes?: number;
  readonly receivedBytes?: number;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
  readonly rttUs?: number;
  readonly jitterUs?: number;
  readonly lossShare?: number;
}

export interface TunnelConnectionReading {
  readonly name: string;
  readonly paths: readonly TunnelPathReading[];
}

/** One running tunnel (`mptsrv`, `weft tunnel serve`) of this network namespace. */
export interface TunnelReading {
  /** Its link. */
  readonly tunnel: string;
  readonly connections: readonly TunnelConnectionReading[];
}

export interface SubflowReading {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly link?: string;
  /** `PathReading.id` where the path is known. */
  readonly path?: string;
  readonly initial: boolean;
  readonly backup: boolean;
  readonly state: PathState;
  readonly why?: string;
  /** The kernel's word: `established`, `syn-sent` … */
  readonly tcpState: string;
  readonly sentBytes?: number;
  readonly receivedBytes?: number;
  readonly sentBitsPerSecond?: number;
  readonly receivedBitsPerSecond?: number;
  readonly rttUs?: number;
  readonly rttVariationUs?: number;
  /** Congestion window. */
  readonly windowSegments?: number;
  readonly retransmittedSegments?: number;
  readonly congestionControl?: string;
}

/** Who opened it: `proxy` for somebody, a tunnel, or a program of this host. */
export type ConnectionOwner = 'proxy' | 'tunnel' | 'program';

/** A row of the list. */
export interface ConnectionReading {
  /**
   * `m` and the token in hexadecimal (`m1f00ba7`), or `p` and the proxy's number for one that is not MPTCP (`p17`); `g`
   * and the number of the appliance's proxy (`g17`); `s` and the socket's cookie for one that has lost its token.
   */
  readonly id: string;
  readonly owner: ConnectionOwner;
  /** Name of the program that holds the socket, where /proc shows it to us. */
  readonly program?: string;
  readonly pid?: number;
  /** What a client of the proxy asked for: `example.org:443`. */
  readonly target?: string;
  /** The proxy's client. */
  readonly client?: string;
  /** Of the first subflow. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly protocol: 'mptcp' | 'tcp';
  /** Why it is TCP although MPTCP was wanted. */
  readonly fallbackReason?: string;
  readonly state: string;
  readonly subflowCount: number;
  /** Links that its subflows use. */
  readonly links: readonly string[];
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
  /** The smallest of its subflows. */
  readonly rttUs?: number;
  readonly retransmittedSegments: number;
  /** Since Weft has known it. */
  readonly openForMs: number;
}

export interface ConnectionDetail extends ConnectionReading {
  readonly token?: number;
  readonly uid?: number;
  readonly subflows: readonly SubflowReading[];
  /** How many subflows beside the first the kernel allows it. */
  readonly subflowsMax?: number;
  readonly addressesAccepted?: number;
  readonly addressesAcceptedMax?: number;
  readonly addressesAnnounced?: number;
  /** The peer forbade joins to its first address (the C flag of RFC 8684 section 3.1); known when Weft saw it begin. */
  readonly denyJoinId0?: boolean;
  readonly serverSide?: boolean;
}

export const CONNECTION_SORTS = [
  'rate',
  'bytes',
  'rtt',
  'retransmissions',
  'age',
  'remote',
  'program',
  'subflows',
] as const;
export type ConnectionSort = (typeof CONNECTION_SORTS)[number];

export interface ConnectionQuery {
  /** Words that must all occur in a row's texts; no case. Default: all rows. */
  readonly search?: string;
  /** Default: `rate`. */
  readonly sort?: ConnectionSort;
  /** Default: `descending`. */
  readonly order?: 'ascending' | 'descending';
  readonly offset?: number;
  /** Default 100, at most `CONNECTION_ROWS_MAX`. */
  readonly limit?: number;
}

export const CONNECTION_ROWS_MAX = 500;

export interface ConnectionPage {
  readonly time: number;
  /** How many there are, and how many the search finds. */
  readonly total: number;
  readonly found: number;
  readonly rows: readonly ConnectionReading[];
}

export interface Totals {
  readonly connections: number;
  readonly mptcp: number;
  readonly fallbacks: number;
  readonly subflows: number;
  /** MPTCP connections with two or more subflows that are neither backup nor silent. */
  readonly severalPaths: number;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
  readonly retransmissionsPerSecond: number;
}

export interface Overview {
  readonly apiVersion: 1;
  readonly time: number;
  /** Counts the looks at the host. */
  readonly sample: number;
  /** How long one look took, and how far apart those are that are told. */
  readonly sampleMs: number;
  readonly sampleIntervalMs: number;
  readonly program: 'up' | 'daemon' | 'top';
  readonly version: string;
  readonly pid: number;
  readonly hostname: string;
  readonly upForMs: number;
  readonly mode?: Mode;
  readonly reason?: string;
  readonly multipath: { readonly inUse: boolean; readonly explanation: readonly string[] };
  /** Whether this process may change endpoints, limits and paths (CAP_NET_ADMIN). */
  readonly mayChange: boolean;
  readonly links: readonly LinkReading[];
  /** Links that the list leaves out. */
  readonly linksOmitted: number;
  readonly ignoredLinks: readonly IgnoredLink[];
  readonly paths: readonly PathReading[];
  /** Paths that the list leaves out. */
  readonly pathsOmitted: number;
  readonly peers: readonly PeerReading[];
  readonly peersOmitted: number;
  readonly tunnels: readonly TunnelReading[];
  readonly endpoints: readonly EndpointReport[];
  readonly limits?: Limits;
  readonly limitsMaximum?: number;
  /** As a client would name them. */
  readonly proxyAddresses: readonly string[];
  readonly totals: Totals;
}

/** What happened, for people and programs. */
export interface ObservedEvent {
  readonly time: number;
  /**
   * `path`: one of ours changed its state; `mptcp`: of the kernel's path manager; `network`: links and addresses;
   * `endpoint`, `limits`: of the path manager's settings; `tunnel`; `action`: somebody changed something through us;
   * `service`: of Weft itself (rules read again, messages lost …).
   */
  readonly kind: ObservedEventKind;
  /** What of that kind: `down`, `subflow-established` … */
  readonly event: string;
  /** One sentence. */
  readonly text: string;
  /** The kernel's fields, with its names, where it is the kernel's event. */
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

export const OBSERVED_EVENT_KINDS = [
  'path',
  'mptcp',
  'network',
  'endpoint',
  'limits',
  'tunnel',
  'action',
  'service',
] as const;
export type ObservedEventKind = (typeof OBSERVED_EVENT_KINDS)[number];

export interface RecentEvents {
  /** Oldest first. BOUNDED: the newest `EVENTS_KEPT_MAX`. */
  readonly events: readonly ObservedEvent[];
  /** Older ones that were dropped. */
  readonly dropped: number;
}

export const EVENTS_KEPT_MAX = 2000;

/** Values of one path over the window; `null` where Weft did not look. As long as `History.times`. */
export interface PathHistory {
  readonly path: string;
  readonly link: string;
  readonly address: string;
  readonly sentBitsPerSecond: readonly (number | null)[];
  readonly receivedBitsPerSecond: readonly (number | null)[];
  readonly rttUs: readonly (number | null)[];
  readonly retransmissionsPerSecond: readonly (number | null)[];
}

/** A moment that a chart marks. */
export interface HistoryMark {
  readonly time: number;
  readonly path: string;
  readonly state: PathState;
  readonly text: string;
}

export interface History {
  /** Seconds between two values. */
  readonly stepS: number;
  /** Ends of the steps, oldest first. */
  readonly times: readonly number[];
  readonly paths: readonly PathHistory[];
  readonly marks: readonly HistoryMark[];
}

export interface HistoryQuery {
  /** 1 to 1440. Default 5. */
  readonly minutes?: number;
}
