/**
 * What a proxy is made with. Plain data and defaults.
 */
import type { Logger } from '../base/index.ts';
import type { ProxyPolicy } from './policy/types.ts';

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
  /** Serve only what comes in by this link, which has the address; default is any. */
  readonly link?: string;
}

/** Bounds and times. Every one has a default. */
export interface ProxyLimits {
  /** Client connections that speak HTTP (tunnels not counted). More are closed at once. */
  readonly maxClientConnections: number;
  /** Requests under way on one client connection (pipelining). More are answered with 503. */
  readonly maxPipelined: number;
  /** CONNECT tunnels, those being set up included. More are answered with 503. */
  readonly maxTunnels: number;
  /** Upstream connections kept for reuse; the pool of idle ones. */
  readonly maxIdleUpstreams: number;
  /** All header fields of a message together. More is answered with 431. */
  readonly maxHeaderBytes: number;
  /** For the header of a request to arrive, from the connection's begin too. Later is answered with 408. */
  readonly headersTimeoutMs: number;
  /** For a client connection between two requests. */
  readonly keepAliveTimeoutMs: number;
  /** For an upstream connection between two requests. */
  readonly upstreamIdleTimeoutMs: number;
  /** For name resolution and connection together. Later is answered with 504. */
  readonly connectTimeoutMs: number;
  /** RFC 8305: how long one address is tried alone. */
  readonly attemptDelayMs: number;
  /** Without any byte in either direction of a plain request; before the response it is answered with 504. */
  readonly exchangeIdleTimeoutMs: number;
  /** Without any byte in either direction of a tunnel; 0 is never. */
  readonly tunnelIdleTimeoutMs: number;
  /** The same for a tunnel of which one direction has ended; 0 is never. */
  readonly halfClosedTimeoutMs: number;
  /** What stalled tunnels together hold before each is held to small reads. */
  readonly heldBytesSoftLimit: number;
  /** Pipes that the relay has open at once. */
  readonly maxPipes: number;
  /** SOCKS UDP associations at once. More are refused. */
  readonly maxUdpAssociations: number;
  /** Without a datagram in either direction of an association. */
  readonly udpIdleTimeoutMs: number;
}

export const DEFAULT_LIMITS: ProxyLimits = {
  maxClientConnections: 4096,
  maxPipelined: 32,
  maxTunnels: 16_384,
  maxIdleUpstreams: 256,
  maxHeaderBytes: 64 * 1024,
  headersTimeoutMs: 30_000,
  keepAliveTimeoutMs: 60_000,
  upstreamIdleTimeoutMs: 30_000,
  connectTimeoutMs: 20_000,
  attemptDelayMs: 250,
  exchangeIdleTimeoutMs: 300_000,
  tunnelIdleTimeoutMs: 24 * 3_600_000,
  halfClosedTimeoutMs: 600_000,
  heldBytesSoftLimit: 64 * 1024 * 1024,
  maxPipes: 256,
  maxUdpAssociations: 1024,
  udpIdleTimeoutMs: 600_000,
};

export interface ProxyOptions {
  /** An address that this host does not have (::1 without IPv6) is skipped while another works. Port 0: any. */
  readonly listen: readonly ListenAddress[];
  /** Serve clients of other hosts too. Default: loopback clients only. */
  readonly allowRemote?: boolean;
  /** `false`: upstream connections are plain TCP. Default `true`. */
  readonly multipath?: boolean;
  /** What may be reached, by whom and which way. Default: everything, by multipath. */
  readonly policy?: ProxyPolicy;
  /** SO_MARK of every connection that the proxy makes; needs CAP_NET_ADMIN. */
  readonly mark?: number;
  /** Also serve connections that a firewall rule redirects (transparent/); `mark` is TRANSPARENT_MARK then. */
  readonly transparent?: {
    /** Connections of other hosts are redirected too: it listens on every address, not on loopback only. */
    readonly servesLinks: boolean;
  };
  readonly logger: Logger;
  readonly limits?: Partial<ProxyLimits>;
}
