/**
 * Reaches what a client of the far end asks for: name → addresses → those that it may reach → the first that answers.
 *
 * Invariant: what is checked is what is connected to; a name is looked up once.
 */
import { connectFailed, DialError, dialForbidden, dialTimedOut } from '../dialer/dial-error.ts';
import { isOfThisHost, Reacher } from '../dialer/reacher.ts';
import type { SocketUpstream } from '../dialer/upstream.ts';
import type { UpstreamTarget } from '../upstream/types.ts';
import type { FarLimits } from './far-options.ts';
import type { Reachable } from './reachable.ts';

export interface FarReachOptions {
  readonly reachable: Reachable;
  readonly limits: Pick<FarLimits, 'connectTimeoutMs' | 'attemptDelayMs'>;
}

export class FarReach {
  readonly #options: FarReachOptions;
  readonly #reacher: Reacher;

  constructor(options: FarReachOptions) {
    this.#options = options;
    const { attemptDelayMs } = options.limits;
    // Its own ports are among its own addresses, which nobody may reach unless they were opened.
    this.#reacher = new Reacher({ attemptDelayMs, isOwnPort: () => [] });
  }

  /** Addresses that the client may reach, best first; at least one. Rejects with DialError. */
  async addresses({ host, port }: UpstreamTarget, signal: AbortSignal): Promise<readonly string[]> {
    const addresses = await this.#reacher.resolve(host, port, signal);
    const allowed = addresses.filter((address) => this.#options.reachable.allows(address, isOfThisHost));
    if (allowed.length > 0) return allowed;
    if (addresses.length === 0) throw connectFailed(host, port, []);
    throw dialForbidden(host, port, 'the far end does not let its clients reach private addresses or itself');
  }

  /**
   * A connection to the target; rejects with DialError. Plain TCP: a server that speaks MPTCP gains nothing here, and
   * the kernel carries TCP faster.
   */
  connect(target: UpstreamTarget, signal: AbortSignal): Promise<SocketUpstream> {
    return this.#inTime(target, signal, async (stop) => {
      const addresses = await this.addresses(target, stop);
      return await this.#reacher.connect(target.host, target.port, addresses, false, stop);
    });
  }

  /** The first address that the client may reach, for datagrams. Rejects with DialError. */
  resolve(target: UpstreamTarget, signal: AbortSignal): Promise<string> {
    return this.#inTime(target, signal, async (stop) => (await this.addresses(target, stop))[0]!);
  }

  async #inTime<T>(
    { host, port }: UpstreamTarget,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { connectTimeoutMs } = this.#options.limits;
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      stop.abort();
    }, connectTimeoutMs);
    try {
      return await work(stop.signal);
    } catch (error) {
      if (timedOut) throw dialTimedOut(host, port, connectTimeoutMs, { kind: 'direct' });
      throw error instanceof DialError ? error : connectFailed(host, port, [error]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      stop.abort();
    }
  }
}
