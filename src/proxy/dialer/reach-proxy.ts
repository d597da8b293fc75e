/**
 * How an upstream proxy itself is reached: as any host, but by no rule, because the policy names it.
 */
import type { ReachProxy } from '../upstream/types.ts';
import type { Reacher } from './reacher.ts';

/** @param multipath of proxies that do not say */
export function reachProxy(reacher: Reacher, multipath: boolean): ReachProxy {
  return async (proxy, signal) => {
    const { host, port } = proxy;
    const addresses = await reacher.resolve(host, port, signal);
    return await reacher.connect(host, port, addresses, proxy.multipath ?? multipath, signal);
  };
}
