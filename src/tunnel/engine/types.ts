/**
 * The face of the tunnel engine (types only): what it is given, what it tells. Everything in `TunnelEngineStatus` and
 * `TunnelEvent` is plain data that goes through JSON unchanged.
 *
 * Invariant: no key is in a status or an event.
 */
import type { Logger } from '../../base/index.ts';
import type { ConnectionFileReading, TunnelReading } from '../config/tunnel-folder.ts';
import type { SchedulerName, TunnelConfig } from '../config/model.ts';
import type { HostJournal } from '../host/host-journal.ts';

/** The configuration folder as the service layer reads and writes it; the engine never touches the disk. */
export interface TunnelFiles {
  /** The whole folder as it is now. Throws WeftError when it cannot be read. */
  readFolder(): TunnelReading;
  /** One file of `connections`. Throws WeftError when it cannot be read. */
  readConnection(file: string): ConnectionFileReading;
  /** Writes a file of `connections` atomically, mode 0600: its text has the key. */
  save(file: string, text: string): void;
  /** Renames a file of `connections` to FILE.disabled, never overwriting; nothing happens when it is not there. */
  disable(file: string): void;
}

export interface TunnelEngineOptions {
  readonly config: TunnelConfig;
  readonly files: TunnelFiles;
  readonly logger: Logger;
  /** What routes there are, kept by the service layer over a kill -9. */
  readonly journal: HostJournal;
  /** Takes what the original prints while it works: routes, sending vectors, changed path statuses. Whole lines. */
  readonly print?: (text: string) => void;
}

/** Answer to a command of the client, as the original words it. */
export interface CommandAnswer {
  readonly ok: boolean;
  readonly text: string;
}

/** What of a path can be changed while it runs. */
export interface TunnelPathChange {
  /** Of the connection. */
  readonly file: string;
  /** Its index. */
  readonly path: number;
  /** As `mpt path up|down`, of this path only. */
  readonly up?: boolean;
  /** `weight_out`, 1 to 10,000. */
  readonly weight?: number;
}

export interface TunnelPathStatus {
  readonly interfaceName: string;
  readonly ipVersion: 4 | 6;
  /** As they are now: found out, learned, corrected. */
  readonly publicAddress: string;
  readonly privateAddress: string;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly remotePort: number;
  /** Absent: none is needed. */
  readonly gatewayAddress?: string;
  /** 0 usable, 128 down, 129 interface down, 131 set down by hand. */
  readonly status: number;
  readonly isUsable: boolean;
  readonly isLinkUp: boolean;
  /** What the host does not have at present, so that the path waits for it: its link, or its address. */
  readonly lacks?: 'link' | 'address';
  /** Whether the peer was recognised as Weft; measures are there only then. */
  readonly isWeft: boolean;
  readonly weightIn: number;
  readonly weightOut: number;
  readonly keepaliveMs: number;
  /** 0: never dead. */
  readonly deadMs: number;
  /** Milliseconds since something was heard; absent: nothing yet. */
  readonly heardAgoMs?: number;
  /** Smoothed. */
  readonly rttUs?: number;
  readonly jitterUs?: number;
  /** Of what we sent, 0 to 1. */
  readonly lossRatio?: number;
  /** Of what the peer sent. */
  readonly incomingLossRatio?: number;
  readonly capacityBps?: number;
  /** Largest IP packet that goes through the path, outer headers included. */
  readonly mtu: number;
  /** Payload of data datagrams, over the last second or so. */
  readonly sentBps: number;
  readonly receivedBps: number;
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly sendDropped: number;
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  readonly strangers: number;
  readonly malformed: number;
  readonly keepalivesSent: number;
  readonly keepalivesReceived: number;
  /** Malformed, not authentic, repeated or overtaken, of another connection or from somebody else. */
  readonly keepalivesRefused: number;
  /** How often the peer's process was another one. */
  readonly peerRestarts: number;
}

export interface TunnelConnectionStatus {
  readonly file: string;
  readonly name: string;
  readonly origin: 'file' | 'peer';
  readonly ipVersion: 4 | 6;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly remotePort: number;
  readonly remoteCommandPort: number;
  readonly authType: 0 | 1 | 2;
  readonly scheduler: SchedulerName;
  readonly reorderWindow: number;
  readonly maxDelayMs: number;
  readonly networks: readonly { readonly source: string; readonly destination: string }[];
  /** Largest inner packet that every usable path carries. */
  readonly innerMtu: number;
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly noPath: number;
  readonly tooBig: number;
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  readonly late: number;
  readonly duplicate: number;
  readonly missing: number;
  readonly restarts: number;
  readonly waiting: number;
  readonly copies: number;
  readonly paths: readonly TunnelPathStatus[];
}

export interface TunnelEngineStatus {
  readonly tunnel: {
    readonly interfaceName: string;
    readonly mtu: number;
    /** `10.0.0.1/24`; absent: none. */
    readonly ipv4?: string;
    readonly ipv6?: string;
    readonly commandPort: number;
    readonly acceptRemote: boolean;
    /** Seconds since the start. */
    readonly uptimeS: number;
    readonly hasVirtioHeader: boolean;
    readonly hasTcpOffload: boolean;
    readonly hasUdpOffload: boolean;
    /** What the kernel lacks, and what failed; the latest last. */
    readonly troubles: readonly string[];
  };
  readonly connections: readonly TunnelConnectionStatus[];
  /** Packets that belong to no connection, and what the device refused. */
  readonly totals: {
    readonly noConnection: number;
    readonly malformed: number;
    readonly tunReads: number;
    readonly tunWrites: number;
    readonly tunWriteErrors: number;
  };
  /** The command port. */
  readonly control: {
    readonly localCommands: number;
    readonly executed: number;
    readonly repeated: number;
    readonly strays: number;
    /** By `DropReason`. */
    readonly drops: Readonly<Record<string, number>>;
    /** Exchanges begun here that are under way. */
    readonly exchanges: number;
  };
}

interface Stamp {
  /** Date.now() */
  readonly atMs: number;
}

/** Names the connection, and the path by its index. */
interface OfConnection extends Stamp {
  readonly file: string;
  readonly name: string;
}

interface OfPath extends OfConnection {
  readonly path: number;
}

export type TunnelEvent =
  /** `status`: as in TunnelPathStatus. */
  | (OfPath & {
      readonly kind: 'path-status';
      readonly status: number;
      readonly before: number;
      readonly isUsable: boolean;
    })
  | (OfConnection & {
      readonly kind: 'connection';
      readonly action: 'added' | 'changed' | 'removed';
      readonly origin: 'file' | 'peer';
    })
  /** An exchange over the command port ended. `code`: 0 is well. */
  | (Stamp & {
      readonly kind: 'exchange';
      readonly direction: 'in' | 'out';
      readonly command: 'path-status' | 'create';
      readonly file?: string;
      /** `ADDRESS:PORT` */
      readonly peer: string;
      readonly code: number;
      readonly text: string;
    })
  | (OfPath & {
      readonly kind: 'peer';
      /** Known to be Weft now, or not any more; a new process; at a new address. */
      readonly news: 'weft' | 'original' | 'restarted' | 'moved';
      readonly text: string;
    })
  /** An own address was found out or changed. */
  | (OfPath & {
      readonly kind: 'address';
      readonly privateAddress: string;
      readonly publicAddress: string;
    })
  /** Without `path`: the tunnel's. */
  | (Stamp & { readonly kind: 'mtu'; readonly file?: string; readonly path?: number; readonly mtu: number })
  | (Stamp & {
      readonly kind: 'reload';
      readonly ok: boolean;
      readonly added: readonly string[];
      readonly changed: readonly string[];
      readonly removed: readonly string[];
      readonly unchanged: readonly string[];
      /** `FILE:LINE: …`, when nothing was changed because of them. */
      readonly errors: readonly string[];
    })
  /** Something is not as it should be and the tunnel goes on. */
  | (Stamp & { readonly kind: 'trouble'; readonly text: string })
  /** The tunnel cannot go on: stop it and end. */
  | (Stamp & { readonly kind: 'failure'; readonly text: string });
