/**
 * What a far end is made with, and what it tells of itself. Plain data and defaults.
 */
import type { Logger, Prefix } from '../../base/index.ts';
import type { ListenAddress } from '../options.ts';
import type { NamedToken } from '../upstream/token.ts';

/** PEM texts: the far end's certificate with its chain, and its key. */
export interface FarCertificate {
  readonly cert: string;
  /** Secret. */
  readonly key: string;
  /** Who signs certificates of clients; absent: they prove themselves by token. */
  readonly clientCa?: string;
}

/** What can be changed while it runs. */
export interface FarAccess {
  /** Those who may use it. With a certificate, tokens come inside TLS; without, they are TLS's keys. */
  readonly tokens: readonly NamedToken[];
  readonly certificate?: FarCertificate;
}

/** Bounds and times. Every one has a default. */
export interface FarLimits {
  /** TCP connections, those in their handshake included. More are closed at once. */
  readonly maxConnections: number;
  /** Of these, connections that have not proved who they are. More are closed at once. */
  readonly maxHandshakes: number;
  /** Tunnels and UDP flows together; more are answered with 503. */
  readonly maxTunnels: number;
  readonly maxTunnelsPerClient: number;
  readonly handshakeTimeoutMs: number;
  /** For a connection that waits for its request. */
  readonly waitTimeoutMs: number;
  /** For name resolution and connection together; shorter than the laptop's, so that the reason arrives there. */
  readonly connectTimeoutMs: number;
  readonly attemptDelayMs: number;
  /** Without any byte in either direction of a tunnel; 0 is never. */
  readonly tunnelIdleTimeoutMs: number;
  readonly halfClosedTimeoutMs: number;
  readonly udpIdleTimeoutMs: number;
}

export const DEFAULT_FAR_LIMITS: FarLimits = {
  maxConnections: 8192,
  maxHandshakes: 512,
  maxTunnels: 4096,
  maxTunnelsPerClient: 2048,
  handshakeTimeoutMs: 15_000,
  waitTimeoutMs: 180_000,
  connectTimeoutMs: 15_000,
  attemptDelayMs: 250,
  tunnelIdleTimeoutMs: 24 * 3_600_000,
  halfClosedTimeoutMs: 600_000,
  udpIdleTimeoutMs: 180_000,
};

export interface FarOptions {
  /** Port 0: any. */
  readonly listen: readonly ListenAddress[];
  readonly access: FarAccess;
  /** What may be reached although it is private (reachable.ts). */
  readonly allow: readonly Prefix[];
  /** `false`: the listener takes plain TCP only. Default `true`. */
  readonly multipath?: boolean;
  readonly logger: Logger;
  readonly limits?: Partial<FarLimits>;
}

/** All counted since the start. */
export interface FarCounters {
  readonly connections: number;
  readonly connectionsOpen: number;
  /** Of those that proved who they are, how many came by MPTCP. */
  readonly connectionsMptcp: number;
  readonly handshakesFailed: number;
  readonly refused: number;
  readonly refusedByReason: Readonly<Record<string, number>>;
  readonly tunnelsOpened: number;
  readonly tunnelsOpen: number;
  readonly dialsFailed: number;
  readonly dialsFailedByReason: Readonly<Record<string, number>>;
  readonly udpFlowsOpened: number;
  readonly udpFlowsOpen: number;
  readonly datagramsUp: number;
  readonly datagramsDown: number;
  readonly datagramsDropped: number;
  /** Of tunnels that have ended. */
  readonly bytesUp: number;
  readonly bytesDown: number;
}
