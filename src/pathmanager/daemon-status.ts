/**
 * What the path-management daemon tells about itself: its status, and the events that `watch` gives. Plain data that
 * JSON can carry.
 */
import type { Endpoint, Limits } from '../mptcp/index.ts';
import type { PluginCallbackName, PluginInterface } from './plugin-api.ts';

/** `loading` until its init has ended; `ended`: it was stopped, or its thread died. */
export type PluginState = 'loading' | 'running' | 'failed' | 'ended';

export interface PluginStatus {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  /** `shipped`, or the file. */
  readonly origin: string;
  readonly priority: number;
  readonly state: PluginState;
  /** Why it failed or ended. */
  readonly reason?: string;
  /** Names that it registered, which `path-manager` may name. */
  readonly registered: readonly string[];
  readonly callbacks: PluginCounters;
}

export interface PluginCounters {
  readonly delivered: number;
  /** Threw or rejected. */
  readonly failed: number;
  /** Took longer than the time budget. */
  readonly late: number;
  /** Not delivered, because its thread was too far behind. */
  readonly dropped: number;
}

export interface DaemonAddressStatus {
  readonly address: string;
  readonly prefixLength: number;
  /** `announced`, `waiting for a default route`, `tentative`, `skipped because …` */
  readonly verdict: string;
  /** Of its endpoint, when addr_adv is loaded: `own`, `foreign`, `missing`, `waiting`. */
  readonly endpoint?: {
    readonly address?: string;
    readonly state: string;
    readonly id?: number;
    readonly backup?: boolean;
    readonly why?: string;
  };
}

export interface DaemonInterfaceStatus {
  readonly index: number;
  readonly name: string;
  readonly kind?: string;
  readonly addresses: readonly DaemonAddressStatus[];
}

/** What was lost and found again, or found at the start. */
export interface ResyncReport {
  readonly connectionsOpened: number;
  readonly connectionsClosed: number;
  readonly connectionsEstablished: number;
  readonly subflowsOpened: number;
  readonly subflowsClosed: number;
}

export interface DaemonCounters {
  /** MPTCP events that were read, and those that went to a plugin's callback. */
  readonly mptcpEvents: number;
  readonly dispatched: number;
  /** Of connections that no plugin is bound to. */
  readonly unmatched: number;
  /** How often the kernel dropped events, by socket. */
  readonly mptcpOverruns: number;
  readonly networkOverruns: number;
  readonly resynchronisations: number;
}

export interface DaemonStatus {
  readonly startedAtMs: number;
  /** Whether the kernel lets this process hear events (CAP_NET_ADMIN). */
  readonly listening: boolean;
  readonly plugins: readonly PluginStatus[];
  /** The name that new connections go to. */
  readonly defaultPlugin?: string;
  readonly interfaces: readonly DaemonInterfaceStatus[];
  /** Of all programs. */
  readonly endpoints: readonly Endpoint[];
  readonly ownEndpointIds: readonly number[];
  readonly limits?: Limits;
  /** MPTCP connections that the daemon follows. */
  readonly connections: number;
  /** The sum of everything that was found by resynchronisations after losses. */
  readonly recovered: ResyncReport;
  /** Connections and subflows that were there before the daemon. */
  readonly adopted: ResyncReport;
  readonly counters: DaemonCounters;
}

/** Names of the kernel's MPTCP events, as a plugin's callbacks are called. */
export type MptcpEventName = Extract<
  PluginCallbackName,
  | 'newConnection'
  | 'connectionEstablished'
  | 'connectionClosed'
  | 'newAddress'
  | 'addressRemoved'
  | 'newSubflow'
  | 'subflowClosed'
  | 'subflowPriority'
  | 'listenerCreated'
  | 'listenerClosed'
>;

export type NetworkEventName = Extract<
  PluginCallbackName,
  'newInterface' | 'updateInterface' | 'deleteInterface' | 'newLocalAddress' | 'deleteLocalAddress'
>;

/** `time` is in milliseconds since 1970. */
export type DaemonEvent = { readonly time: number } & (
  | {
      readonly kind: 'mptcp';
      readonly event: MptcpEventName;
      /** The argument of that callback. */
      readonly data: object;
    }
  | {
      readonly kind: 'network';
      readonly event: NetworkEventName;
      readonly interface: PluginInterface;
      readonly address?: string;
    }
  | {
      readonly kind: 'endpoint';
      readonly action: 'added' | 'changed' | 'removed';
      readonly address: string;
      readonly id: number;
      readonly flags: number;
    }
  | {
      readonly kind: 'plugin';
      readonly plugin: string;
      readonly trouble: 'load' | 'init' | 'threw' | 'late' | 'ended' | 'behind';
      readonly callback?: string;
      readonly message: string;
    }
  | { readonly kind: 'overrun'; readonly socket: 'mptcp' | 'network' }
  | {
      readonly kind: 'resynchronised';
      readonly cause: 'start' | 'overrun';
      readonly report: ResyncReport;
    }
);

export type DaemonEventListener = (event: DaemonEvent) => void;

/** `DaemonEvent` without its time, for each kind. */
export type DaemonNews = DaemonEvent extends infer Event
  ? Event extends DaemonEvent
    ? Omit<Event, 'time'>
    : never
  : never;
