/**
 * What every way to ask a proxy for a tunnel has in common: bytes to send first, then each piece that comes is
 * accepted until it is done or has failed. Types and drivers' limits; the protocols are in http-connect.ts and
 * socks5-connect.ts, the drivers in negotiate-fd.ts and negotiate-stream.ts.
 */
import type { UpstreamFailure } from './upstream-error.ts';

export interface NegotiationFailure {
  readonly failure: UpstreamFailure;
  /** Goes behind the proxy's name: `answered 407: …`. Safe to print. */
  readonly text: string;
  /** HTTP status that answers the client, where it is not that of `failure`. */
  readonly status?: number;
}

export interface NegotiationStep {
  /** Bytes to send now. */
  readonly send?: Uint8Array;
  /** The tunnel is there; these bytes came after the answer and belong to it. */
  readonly ahead?: Uint8Array;
  readonly failed?: NegotiationFailure;
}

export interface Negotiation {
  readonly first: Uint8Array;
  /** A step without `ahead` and `failed` wants more bytes. Not called again after either. */
  handleBytes(bytes: Uint8Array): NegotiationStep;
}

/** The proxy closed the connection before it had answered. */
export const CLOSED_EARLY: NegotiationFailure = {
  failure: 'broken',
  text: 'closed the connection without an answer',
};
