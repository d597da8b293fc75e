/**
 * The configuration of a tunnel as its files say it, with defaults filled in (types only). Addresses are canonical
 * text; `0.0.0.0` and `::` stand for "not given". Times keep the units of the files.
 */
import type { Prefix } from '../../base/index.ts';
import type { IpVersion } from './section-reader.ts';

/** What the programs hold; more in a file is an error. */
export const PATHS_MAX = 20;
export const NETWORKS_MAX = 20;
export const WEIGHT_MAX = 10_000;
export const REORDER_WINDOW_MAX = 10_000;
/** What 0 and a missing `max_buffdelay_msec` mean. */
export const DEFAULT_BUFFER_DELAY_MS = 100;
export const SCHEDULERS = ['weights', 'adaptive', 'lowest-rtt', 'redundant', 'flow'] as const;
export type SchedulerName = (typeof SCHEDULERS)[number];

/** `conf/interface.conf` */
export interface InterfaceConfig {
  /** The tunnel's link, such as `tun0`. */
  readonly name: string;
  readonly mtu: number;
  /** Absent: `0.0.0.0/0`, none. */
  readonly ipv4?: Prefix;
  readonly ipv6?: Prefix;
  /** Whether any peer that knows the template's key may create a connection. */
  readonly acceptRemote: boolean;
  /** UDP port for commands; 0 any free one; absent: each program's own default (`COMMAND_PORTS`). */
  readonly commandPort?: number;
  /** Seconds that the client waits for an answer. */
  readonly commandTimeoutS: number;
}

export const COMMAND_PORTS = { server: 65_050, client: 60_456, clientWithoutFile: 65_010 } as const;
export const COMMAND_TIMEOUT_S = { withFile: 15, withoutFile: 5 } as const;

/** Flows that belong to a path. */
export interface PinnedPorts {
  readonly tcpSource: readonly number[];
  readonly tcpDestination: readonly number[];
  readonly udpSource: readonly number[];
  readonly udpDestination: readonly number[];
}

export interface PathConfig {
  readonly interfaceName: string;
  readonly ipVersion: IpVersion;
  /** What the peer knows the path by; 0.0.0.0: to be asked of the network. */
  readonly publicAddress: string;
  /** The file says that the public address is whatever the private one is. */
  readonly publicIsPrivate: boolean;
  /** What the socket is bound to; 0.0.0.0: the first address of the interface. */
  readonly privateAddress: string;
  readonly remoteAddress: string;
  readonly gatewayAddress: string;
  /** Seconds; 0 off. */
  readonly keepaliveTimeS: number;
  /** Seconds; 0 never dead. */
  readonly deadTimeS: number;
  /** The peer's weight for the other direction, as told when a connection is created. */
  readonly weightIn: number;
  readonly weightOut: number;
  /** Code (paths/path-status): 0 usable, 128 down until the peer is heard, 129, 130, 131, 255. */
  readonly status: number;
  /** The path preferred for creating the connection. */
  readonly isCommandDefault: boolean;
  readonly pinned: PinnedPorts;
}

export interface NetworkConfig {
  readonly ipVersion: IpVersion;
  readonly source: Prefix;
  readonly destination: Prefix;
}

/** One file of `conf/connections`. */
export interface ConnectionConfig {
  readonly name: string;
  /** 0 none, 1 send, 2 receive, 3 both. Told to peers and shown, not enforced. */
  readonly permission: number;
  /** Of the tunnel's addresses. */
  readonly ipVersion: IpVersion;
  readonly localAddress: string;
  /** 0: any. */
  readonly localPort: number;
  readonly localCommandPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly remoteCommandPort: number;
  readonly status: number;
  /** Packets; 0: no sequence numbers, no reordering. */
  readonly reorderWindow: number;
  /** As in the file; 0 means `DEFAULT_BUFFER_DELAY_MS`. */
  readonly maxBufferDelayMs: number;
  readonly authType: 0 | 1 | 2;
  /** As in the file; the first 32 characters are the key. Secret. */
  readonly authKey: string;
  /** Weft's own. */
  readonly scheduler: SchedulerName;
  readonly paths: readonly PathConfig[];
  readonly networks: readonly NetworkConfig[];
}

/** A connection and the file that it stands in. */
export interface ConnectionFile {
  /** `office.conf` */
  readonly file: string;
  readonly connection: ConnectionConfig;
}

/** The whole folder `conf`. */
export interface TunnelConfig {
  readonly interface: InterfaceConfig;
  /** `conf.template`: the mould of connections that peers create. */
  readonly template: ConnectionConfig;
  /** By file name. */
  readonly connections: readonly ConnectionFile[];
}
