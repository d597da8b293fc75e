/**
 * An upstream proxy that could not do what was asked. The text names the proxy and never what it was told in secret.
 */
import { WeftError } from '../../base/index.ts';

/**
 * `unreachable`: no connection to it. `handshake`: TLS, or its users' or token's proof, failed. `refused`: it will not.
 * `target`: it tried, and the destination did not answer. `broken`: it speaks something else, or fell silent.
 */
export type UpstreamFailure =
  'unreachable' | 'handshake' | 'refused' | 'target' | 'timeout' | 'broken' | 'aborted';

export class UpstreamError extends WeftError {
  readonly failure: UpstreamFailure;
  /** HTTP status that answers a client: 502, 504 or 403. */
  readonly status: number;

  constructor(
    message: string,
    failure: UpstreamFailure,
    options: { readonly status?: number; readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, {
      code: `UPSTREAM_${failure.toUpperCase()}`,
      cause: options.cause,
      ...(options.hint === undefined ? {} : { hint: options.hint }),
    });
    this.failure = failure;
    this.status = options.status ?? (failure === 'timeout' ? 504 : 502);
  }

  /** Whether the proxy is at fault, rather than the destination or the client. */
  get isProxysFault(): boolean {
    return this.failure !== 'target' && this.failure !== 'aborted' && this.failure !== 'refused';
  }
}
