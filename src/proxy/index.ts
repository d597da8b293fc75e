/**
 * proxy: the local HTTP proxy. CONNECT tunnels and plain HTTP/1.1 forwarding, upstream by MPTCP where it can be had.
 */
export { type ConnectionKind, type ProxyConnection, type ProxyCounters, type Refusal } from './counters.ts';
export type { DialFailure } from './dialer/dial-error.ts';
export {
  DEFAULT_FAR_LIMITS,
  type FarAccess,
  type FarCertificate,
  type FarCounters,
  type FarLimits,
  type FarOptions,
} from './far/far-options.ts';
export { FarServer } from './far/far-server.ts';
export { DEFAULT_LIMITS, type ListenAddress, type ProxyLimits, type ProxyOptions } from './options.ts';
export { LINK_LOCAL_PREFIXES, LOOPBACK_PREFIXES, PRIVATE_PREFIXES } from './policy/compiled-policy.ts';
export * from './policy/types.ts';
export type { TunnelEnd } from './relay/relay-thread.ts';
export { ProxyServer } from './server.ts';
export {
  redirectTable,
  TRANSPARENT_MARK,
  TRANSPARENT_TABLE,
  type RedirectPort,
} from './transparent/redirect-table.ts';
export { makeToken, parseTokenFile, type NamedToken } from './upstream/token.ts';
export type { UpstreamHealth, UpstreamKind, UpstreamProxy } from './upstream/types.ts';
export {
  parseUpstreamUrl,
  WEFT_SERVE_PORT,
  withoutCredentials,
  type ParsedUpstreamUrl,
} from './upstream/upstream-url.ts';
export { hashPassword, parseVerifier } from './users-verifier.ts';
