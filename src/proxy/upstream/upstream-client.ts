/**
 * One upstream proxy: tunnels and datagrams through it, and how it does.
 *
 * Invariant: every connection is waiting in the pool, under way to a tunnel, or given out; close ends the first two.
 */
import type { Logger } from '../../base/index.ts';
import type {
  ReachProxy,
  ThroughUpstream,
  UdpPath,
  UpstreamHealth,
  UpstreamProxy,
  UpstreamTarget,
} from './types.ts';
import { UpstreamError } from './upstream-error.ts';

export interface UpstreamClientOptions {
  readonly reach: ReachProxy;
  readonly logger: Logger;
  readonly timeoutMs: number;
}

export class UpstreamClient {
  readonly proxy: UpstreamProxy;
  readonly #options: UpstreamClientOptions;

  constructor(proxy: UpstreamProxy, options: UpstreamClientOptions) {
    this.proxy = proxy;
    this.#options = options;
  }

  connect(target: UpstreamTarget, signal: AbortSignal): Promise<ThroughUpstream> {
    void target;
    void signal;
    void this.#options;
    return Promise.reject(new UpstreamError('upstream proxies are not there yet', 'broken'));
  }

  openUdp(): UdpPath {
    throw new UpstreamError('upstream proxies are not there yet', 'broken');
  }

  health(): UpstreamHealth {
    const { name, kind, host, port } = this.proxy;
    return { name, kind, host, port, state: 'untried', opened: 0, failed: 0, ready: 0 };
  }

  close(): void {}
}
