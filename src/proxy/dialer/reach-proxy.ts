/**
 * How an upstream proxy itself is reached: as any host, but by no rule, because the policy names it. Where an
 * appliance has the multipath connections, those to upstream proxies are its too.
 */
import { errorText } from '../../base/index.ts';
import { interleaveFamilies, RaceLost, raceStaggered } from '../../mptcp/index.ts';
import type { ReachProxy } from '../upstream/types.ts';
import type { Upstreams } from './dialer.ts';
import { isOfThisHost, type Reacher } from './reacher.ts';
import { closeUpstream, type SocketUpstream } from './upstream.ts';

export interface ReachProxyOptions {
  readonly reacher: Reacher;
  /** Of proxies that do not say. */
  readonly multipath: boolean;
  /** Name of the upstream proxy that multipath connections lead through; that one asks for none itself. */
  readonly multipathVia: () => string | undefined;
  readonly upstreams: () => Upstreams;
  readonly attemptDelayMs: number;
}

export function reachProxy(options: ReachProxyOptions): ReachProxy {
  const { reacher } = options;
  return async (proxy, signal) => {
    const { host, port } = proxy;
    const addresses = await reacher.resolve(host, port, signal);
    const multipath = proxy.multipath ?? options.multipath;
    const via = multipath ? options.multipathVia() : undefined;
    if (via === undefined || addresses.some((address) => isOfThisHost(address))) {
      return await reacher.connect(host, port, addresses, multipath, signal);
    }
    const upstreams = options.upstreams();
    try {
      return await raceStaggered({
        candidates: interleaveFamilies(addresses),
        delayMs: options.attemptDelayMs,
        start: (address) => reachThrough(upstreams, via, { host: address, port }, signal),
        discard: closeUpstream,
        signal,
      });
    } catch (error) {
      // No UpstreamError: the proxy that was to be reached is the one to name.
      const first = error instanceof RaceLost ? error.errors[0] : error;
      throw new Error(errorText(first), { cause: error });
    }
  };
}

async function reachThrough(
  upstreams: Upstreams,
  via: string,
  target: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<SocketUpstream> {
  const upstream = await upstreams.connectThrough(via, target, signal);
  if (upstream.kind === 'socket' && upstream.ahead === undefined) return upstream;
  closeUpstream(upstream);
  throw new Error(`"${via}" leads to it by no plain connection`);
}
