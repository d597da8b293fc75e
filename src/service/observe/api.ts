/**
 * The control calls that let a host be seen and changed: the same for `weft up`, the daemon, the page and `weft top`.
 * The types of what they answer are in model.ts; the table that maps them to HTTP is calls.ts.
 */
import type { Verdict } from '../doctor/index.ts';
import type {
  ConnectionDetail,
  ConnectionPage,
  ConnectionQuery,
  History,
  HistoryQuery,
  Overview,
  RecentEvents,
} from './model.ts';

/** One verdict, with what it rests on. */
export interface Finding {
  /** Stable name for programs: `limits-reached`, `no-route` … */
  readonly id: string;
  readonly verdict: Verdict;
  /** What it means, one sentence for people. */
  readonly text: string;
  /** Counters, route look-ups, options as they were read: each a name and a value, such as `MPCapableFallbackSYNACK` `3`. */
  readonly evidence: readonly Evidence[];
  /** Commands that mend it, exactly as they can be typed; sentences where there is no command. */
  readonly advice: readonly string[];
}

export interface Evidence {
  readonly name: string;
  readonly value: string;
}

/** Why this host, or one connection, is not on several paths. */
export interface WhyReport {
  readonly time: number;
  /** The answer in one sentence. */
  readonly summary: string;
  readonly healthy: boolean;
  /** The worst first. */
  readonly findings: readonly Finding[];
}

export interface WhyQuery {
  /** `ConnectionReading.id`, a token (`0x1f00ba7`), `ADDRESS:PORT` of the other end, or a target's name. Absent: the host. */
  readonly connection?: string;
}

/** What was done, as the command line would have done it. */
export interface ActionAnswer {
  readonly text: string;
  /** `weft mptcp endpoint delete id 3` */
  readonly command: string;
}

export interface EndpointAddAction {
  readonly address: string;
  readonly link?: string;
  readonly port?: number;
  readonly id?: number;
  /** Of `signal`, `subflow`, `backup`, `fullmesh`, `laminar`. */
  readonly flags: readonly string[];
}

export interface EndpointChangeAction {
  readonly id: number;
  /** Absent: it stays as it is. */
  readonly backup?: boolean;
  readonly fullmesh?: boolean;
}

export interface EndpointRemoveAction {
  readonly id: number;
}

/** Absent fields stay as they are. */
export interface LimitsAction {
  readonly subflows?: number;
  readonly addAddrAccepted?: number;
}

/** All paths of a link, on connections that are open too (MP_PRIO). */
export interface PathAction {
  readonly link: string;
  readonly backup: boolean;
}

export interface TunnelPathAction {
  /** The tunnel's link. */
  readonly tunnel: string;
  readonly connection: string;
  readonly path: string;
  /** One of these. */
  readonly up?: boolean;
  readonly weight?: number;
}

export interface ConnectionName {
  readonly id: string;
}

export interface ObserveApi {
  overview(): Promise<Overview>;
  history(query: HistoryQuery): Promise<History>;
  connections(query: ConnectionQuery): Promise<ConnectionPage>;
  /** @throws WeftError `NO_SUCH_CONNECTION` */
  connection(name: ConnectionName): Promise<ConnectionDetail>;
  recentEvents(): Promise<RecentEvents>;
  why(query: WhyQuery): Promise<WhyReport>;
}

export interface ActionApi {
  addEndpoint(action: EndpointAddAction): Promise<ActionAnswer>;
  changeEndpoint(action: EndpointChangeAction): Promise<ActionAnswer>;
  removeEndpoint(action: EndpointRemoveAction): Promise<ActionAnswer>;
  setLimits(action: LimitsAction): Promise<ActionAnswer>;
  setPath(action: PathAction): Promise<ActionAnswer>;
  setTunnelPath(action: TunnelPathAction): Promise<ActionAnswer>;
}

/** The page of this process, for those who may ask over the control socket. */
export interface WebReport {
  readonly served: boolean;
  /** With the token, so it is for the eyes of who asks only. */
  readonly url?: string;
  /** Where it listens: `127.0.0.1:13180`. */
  readonly addresses?: readonly string[];
  /** Why it is not served. */
  readonly why?: string;
}

/** Not a call of the page itself. */
export interface WebApi {
  web(): Promise<WebReport>;
}
