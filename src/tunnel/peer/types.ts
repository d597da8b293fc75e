/**
 * The face of a peer session (types only): what it is given and what it tells. One session a path and peer; time and
 * random numbers are given.
 */
import type { KeepaliveArrival } from '../data/protocol.ts';
import type { PathTimers, PathWord } from '../paths/path-state.ts';
import type { IpVersion } from '../wire/data-header.ts';

/** HMAC-SHA-256: 32 bytes. */
export type HmacSha256 = (key: Uint8Array, bytes: Uint8Array) => Uint8Array;

export interface PeerSessionOptions {
  /** Of the connection. */
  readonly ipVersion: IpVersion;
  /** Tunnel addresses, 16 bytes, IPv4 mapped. */
  readonly ipLocal: Uint8Array;
  readonly ipRemote: Uint8Array;
  /** Of the path: what its outer packets are. */
  readonly pathIpVersion: IpVersion;
  /** Where the peer is by configuration; absent: learned with its first authentic keepalive. */
  readonly remote?: PeerAddress;
  /** MTU of the path's link; 65,535 at most counts. */
  readonly linkMtu: number;
  /** The connection's key (`keyOf`) when its authentication type is 2, otherwise absent. */
  readonly key?: Uint8Array;
  readonly hmac: HmacSha256;
  /** 1 … 2^48 - 1, random, another one for each session (`nodeSessionNumber`). */
  readonly sessionNumber: number;
  /** As configured, in milliseconds. */
  readonly timers: PathTimers;
}

/** A keepalive that came in: as the data plane tells it. */
export type KeepaliveFacts = Omit<KeepaliveArrival, 'kind' | 'id' | 'path'>;

/** What the path had carried when a keepalive goes out (OutboundPathCounter). */
export interface SendingFacts {
  readonly sentPackets: number;
  /** UDP payload. */
  readonly sentBytes: number;
}

export interface PeerAddress {
  /** 16 bytes, IPv4 mapped. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** Why a keepalive counts for nothing. */
export type KeepaliveDefect =
  /** Not from the peer's address, and not an authentic one of this session. */
  | 'stranger'
  /** No keepalive, or its extension is cut off or contradicts itself. */
  | 'malformed'
  /** The tunnel addresses are not the peer's: another connection's, or an own one sent back. */
  | 'other connection'
  /** The tag is wrong, or there is none and there should be. */
  | 'not authentic'
  /** Its number is not above the last one's: overtaken, or repeated by somebody. */
  | 'late';

/** What a keepalive says, for the engine to act on. All absent or false: nothing. */
export interface PeerNews {
  /** It is a sign of life: `PathState.handleHeard`. */
  readonly isHeard: boolean;
  readonly defect?: KeepaliveDefect;
  /** Who the peer is turned out or changed: `PathState.handlePeer(peer === 'weft')`. */
  readonly peer?: 'weft' | 'original';
  /** The Weft that speaks there is another process than before: `PathState.handlePeer(true)`. */
  readonly isRestarted: boolean;
  /** The peer's word about this path, "down" only when it is new: `PathState.handleWord`. */
  readonly word?: PathWord;
  /** Our word has arrived: `PathState.wordDelivered`. */
  readonly deliveredWord?: PathWord;
  /** `PathState.setTimers(session.timers, nowMs)`. */
  readonly hasNewTimers: boolean;
  /** RTT, loss or capacity changed: views. */
  readonly hasNewMeasures: boolean;
  /** `datagramBytesMax` changed. */
  readonly hasNewMtu: boolean;
  /** An authentic keepalive came from here: the peer's address and port from now on. */
  readonly moved?: PeerAddress;
  /** Send a keepalive here, too, and at once, whatever the path's status is: the peer may be at a new address. */
  readonly answerTo?: PeerAddress;
  /** The peer sees us at another address than before (`observedAddress`). */
  readonly hasNewObservedAddress: boolean;
}

/** What `PeerSession.poll` wants sent. */
export type SendingWish = 'keepalive' | 'probe';

/** Counted over the session. */
export interface PeerCounters {
  readonly sent: number;
  readonly received: number;
  readonly probesSent: number;
  readonly strangers: number;
  readonly malformed: number;
  readonly notAuthentic: number;
  readonly late: number;
  readonly restarts: number;
}
