/**
 * The faces between the proxy's policy, its dialer and the proxies that it goes through: another Weft at its far end
 * (`weft serve`), and proxies of others. Types only; secrets in them go into connections and nowhere else.
 *
 * Everything through an upstream proxy is a tunnel (CONNECT, or SOCKS), also what the client asked by plain HTTP.
 */
import type { SocketUpstream } from '../dialer/upstream.ts';

/**
 * `weft`: the far end of a Weft, TLS 1.3 over MPTCP, known by token or certificate. `http`, `https`: any proxy that
 * knows CONNECT, over TCP or inside TLS. `socks5`: RFC 1928.
 */
export const UPSTREAM_KINDS = ['weft', 'http', 'https', 'socks5'] as const;
export type UpstreamKind = (typeof UPSTREAM_KINDS)[number];

/** PEM texts. */
export interface UpstreamCertificates {
  /** Who may sign the proxy's certificate; absent: the authorities that Node knows. */
  readonly ca?: string;
  /** Ours, when the proxy wants one. `cert` and `key` come together. */
  readonly cert?: string;
  /** Secret. */
  readonly key?: string;
}

/** One upstream proxy as the rules describe it, with what its files hold. Plain data. */
export interface UpstreamProxy {
  /** As rules name it. */
  readonly name: string;
  readonly kind: UpstreamKind;
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** RFC 7617 or RFC 1929; `http`, `https`, `socks5`. */
  readonly user?: string;
  /** Secret. */
  readonly password?: string;
  /** Secret; `weft` without certificates. */
  readonly token?: string;
  readonly certificates?: UpstreamCertificates;
  /** `false`: plain TCP to it. Default: as the proxy does. */
  readonly multipath?: boolean;
}

/** What the client wants to reach: a name, resolved by the upstream proxy, or an address. */
export interface UpstreamTarget {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Reaches the proxy itself; the dialer's own way, with its time limits, mark and memory of plain servers. */
export type ReachProxy = (
  proxy: { readonly host: string; readonly port: number; readonly multipath?: boolean },
  signal: AbortSignal,
) => Promise<SocketUpstream>;

/** How an upstream proxy does. For status; no secrets. */
export interface UpstreamHealth {
  readonly name: string;
  readonly kind: UpstreamKind;
  readonly host: string;
  readonly port: number;
  /** `untried`: nothing was asked of it yet. */
  readonly state: 'untried' | 'up' | 'down';
  /** Why it is down. */
  readonly why?: string;
  /** Tunnels asked for and got since the start, and those that the proxy itself was the reason to fail. */
  readonly opened: number;
  readonly failed: number;
  /** Connections that wait for a tunnel. */
  readonly ready: number;
}

/**
 * Datagrams by one way. Made direct, or through a far end (RFC 9298). Nothing here throws or blocks: what cannot be
 * sent is dropped and counted, as datagrams are.
 */
export interface UdpPath {
  /** @param host name or address */
  send(host: string, port: number, bytes: Uint8Array): void;
  /** Set by who uses it. Through a far end `address` is the host as `send` named it, which may be a name. */
  onMessage: (address: string, port: number, bytes: Uint8Array) => void;
  /** Datagrams that could not be sent. */
  readonly dropped: number;
  /** Idempotent. `onMessage` is not called any more. */
  close(): void;
}
