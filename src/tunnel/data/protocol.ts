/**
 * What the main thread and the two threads of the data plane say to each other (types and layouts only).
 *
 *   outbound thread   TUN → connection → sequence number → schedule → UDP sockets of the paths
 *   inbound thread    UDP sockets → GRE → reorder → merge → TUN
 *
 * Descriptors belong to the main thread. A thread uses one from the message that brings it to the answer `done` of the
 * message that takes it away; only then the main thread closes it.
 *
 * Counters stand in memory that is shared: one block a connection and direction, written by that direction's thread
 * only, read by the main thread at any time. Float64 holds counts exactly up to 2^53.
 */
import type { Prefix } from '../../base/index.ts';
import type { IpVersion } from '../wire/data-header.ts';
import type { PinnedPorts, SchedulerName } from '../config/model.ts';
import type { PathView } from '../paths/scheduler.ts';

export interface DataPathDescription {
  /** Socket of the path: UDP, bound, not connected, non-blocking; UDP_GRO set where the kernel has it. */
  readonly fd: number;
  /** Where packets go to: sockaddr_in or sockaddr_in6 of the socket's family. */
  readonly remoteSockaddr: Uint8Array;
  /** The only source address that is accepted, 16 bytes, IPv4 mapped; the source port is not looked at. */
  readonly remoteAddress: Uint8Array;
  /** Largest UDP payload that goes through the path, GRE header included. */
  readonly datagramBytesMax: number;
  /** Whether UDP_SEGMENT works on this socket. */
  readonly segmentation: boolean;
  readonly pinned: PinnedPorts;
  readonly view: PathView;
  /** The peer's session that counts, once it is known: keepalives of others are passed on less often. */
  readonly peerSession?: number;
}

/** Everything that the data plane knows of a connection. */
export interface DataConnection {
  /** 0 … `CONNECTIONS_MAX` - 1, chosen by the main thread and not used again while it lives. */
  readonly id: number;
  /** Place in the order in which connections are looked through for a packet. */
  readonly order: number;
  readonly ipVersion: IpVersion;
  /** Tunnel addresses, 4 or 16 bytes. */
  readonly localAddress: Uint8Array;
  readonly remoteAddress: Uint8Array;
  /** Of the networks of either IP version. */
  readonly sources: readonly Prefix[];
  readonly destinations: readonly Prefix[];
  /** Whether packets get sequence numbers: own reorder window above 0, or a scheduler that needs them. */
  readonly isSequenced: boolean;
  /** Number of the first packet, 0 if absent; for tests of what happens at 2^32. */
  readonly firstSequence?: number;
  /** Packets; 0: what arrives goes on at once. */
  readonly reorderWindow: number;
  readonly maxDelayMs: number;
  readonly scheduler: SchedulerName;
  /** Whether copies have to be looked for although nothing is reordered. */
  readonly dropsCopies: boolean;
  /** TCP's MSS in SYN packets, either direction, is lowered to what this many bytes of inner packet hold; 0: left. */
  readonly innerBytesMax: number;
  /** In the order of their indexes; at most 20. */
  readonly paths: readonly DataPathDescription[];
  readonly outboundCounters: SharedArrayBuffer;
  readonly inboundCounters: SharedArrayBuffer;
}

export const CONNECTIONS_MAX = 1024;

export interface DataPlaneOptions {
  readonly tunFd: number;
  /** The device was opened with IFF_VNET_HDR: every packet has a virtio header of `VIRTIO_HEADER_BYTES`. */
  readonly hasVirtioHeader: boolean;
  /** TUN_F_TSO4 and TSO6 are on: super-packets come from and may go to the device. */
  readonly hasTcpOffload: boolean;
  /** TUN_F_USO4 and USO6 are on. */
  readonly hasUdpOffload: boolean;
  /** Of the connections together: global counters of each thread. */
  readonly outboundCounters: SharedArrayBuffer;
  readonly inboundCounters: SharedArrayBuffer;
}

export type ToDataThread =
  /** New, or takes the place of the one with this id; sequence numbers and what waits for order go on. */
  | { readonly kind: 'connection'; readonly ticket: number; readonly connection: DataConnection }
  | { readonly kind: 'remove'; readonly ticket: number; readonly id: number }
  /** Measures and states of all paths of a connection. */
  | { readonly kind: 'views'; readonly id: number; readonly views: readonly PathView[] }
  | { readonly kind: 'stop' };

export interface KeepaliveArrival {
  readonly kind: 'keepalive';
  readonly id: number;
  readonly path: number;
  /** Whole datagram, a copy. */
  readonly datagram: Uint8Array;
  /** Source, 16 bytes, IPv4 mapped. */
  readonly fromAddress: Uint8Array;
  readonly fromPort: number;
  /** Whether the source address is the path's `remoteAddress`. Others come only as far as they are keepalives. */
  readonly isFromPeer: boolean;
  /** monotonicUs() at its reading. */
  readonly arrivedUs: number;
  /** What the path had received when it came: data packets and their datagrams' bytes. */
  readonly receivedPackets: number;
  readonly receivedBytes: number;
}

export type FromDataThread =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly ticket: number }
  | KeepaliveArrival
  /** The kernel refused a datagram as too long for the path (EMSGSIZE). At most once a second and path. */
  | { readonly kind: 'too-long'; readonly id: number; readonly path: number; readonly bytes: number }
  /** The device or an offload failed for good; the thread goes on without it if it can. */
  | { readonly kind: 'trouble'; readonly text: string };

/** Places in a connection's block of outbound counters; those of path N by `pathField`. */
export const OutboundCounter = {
  /** Data packets, copies for the second path not counted. */
  packets: 0,
  bytes: 1,
  /** No path was usable. */
  noPath: 2,
  /** Answered by ICMP. */
  tooBig: 3,
  /** monotonicMs() of the last packet. */
  lastMs: 4,
} as const;

export const OutboundPathCounter = {
  packets: 0,
  /** UDP payload. */
  bytes: 1,
  /** Socket stayed full too long, or the kernel refused. */
  dropped: 2,
  /** System calls. */
  sends: 3,
} as const;

export const InboundCounter = {
  packets: 0,
  bytes: 1,
  late: 2,
  duplicate: 3,
  /** Given up by the reorder buffer. */
  missing: 4,
  restarts: 5,
  /** Waiting in the reorder buffer now. */
  waiting: 6,
  /** Copies dropped, of a connection that duplicates. */
  copies: 7,
} as const;

export const InboundPathCounter = {
  packets: 0,
  /** UDP payload. */
  bytes: 1,
  /** monotonicMs() of the last data packet; 0: none. */
  lastDataMs: 2,
  /** Datagrams of a source that is not the path's peer. */
  strangers: 3,
  malformed: 4,
  /** Keepalives over the bound of those passed on. */
  keepalivesDropped: 5,
  reads: 6,
} as const;

/** Places in a thread's global block. */
export const OutboundTotal = {
  /** Packets from the device that belong to no connection. */
  noConnection: 0,
  /** Neither IPv4 nor IPv6, or shorter than their headers. */
  malformed: 1,
  reads: 2,
} as const;

export const InboundTotal = {
  writes: 0,
  /** The device refused a packet. */
  writeErrors: 1,
} as const;

export const CONNECTION_FIELDS = 16;
export const PATH_FIELDS = 12;
export const COUNTED_PATHS_MAX = 20;
export const COUNTER_BLOCK_BYTES = 8 * (CONNECTION_FIELDS + COUNTED_PATHS_MAX * PATH_FIELDS);

/** Index of a path's field in a block. */
export const pathField = (path: number, field: number): number =>
  CONNECTION_FIELDS + path * PATH_FIELDS + field;

export const newCounterBlock = (): SharedArrayBuffer => new SharedArrayBuffer(COUNTER_BLOCK_BYTES);
