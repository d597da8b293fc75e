/**
 * The upstream proxies of the policy in force, each with its client, and what follows when the policy changes: those
 * that stayed the same keep their connections, the others' waiting ones are closed; tunnels go on.
 *
 * Invariant: one client for each name; a client that was replaced has nothing waiting.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../base/index.ts';
import type { Upstream } from '../dialer/upstream.ts';
import type { ReachProxy, UdpPath, UpstreamHealth, UpstreamProxy, UpstreamTarget } from './types.ts';
import { UpstreamClient } from './upstream-client.ts';
import { UpstreamError } from './upstream-error.ts';

export interface UpstreamSetOptions {
  /** The dialer's way to a proxy. */
  readonly reach: ReachProxy;
  readonly logger: Logger;
  /** From the connection's begin to the proxy's answer. */
  readonly timeoutMs: number;
}

export class UpstreamSet {
  readonly #options: UpstreamSetOptions;
  /** BOUNDED: by the policy. */
  #clients = new Map<string, UpstreamClient>();

  constructor(options: UpstreamSetOptions) {
    this.#options = options;
  }

  /** The upstream proxies are these from now on. */
  apply(proxies: readonly UpstreamProxy[]): void {
    const before = this.#clients;
    this.#clients = new Map(
      proxies.map((proxy) => {
        const known = before.get(proxy.name);
        const same = known !== undefined && isDeepStrictEqual(known.proxy, proxy);
        return [proxy.name, same ? known : new UpstreamClient(proxy, this.#options)];
      }),
    );
    const kept = new Set(this.#clients.values());
    for (const client of before.values()) if (!kept.has(client)) client.close();
  }

  /** Other connections wait from now on. */
  renew(): void {
    for (const client of this.#clients.values()) client.renew();
  }

  #clientOf(name: string): UpstreamClient {
    const client = this.#clients.get(name);
    if (client !== undefined) return client;
    throw new UpstreamError(`there is no upstream proxy "${name}" any more`, 'unreachable');
  }

  /**
   * A tunnel to the target through the named proxy.
   *
   * Rejects with UpstreamError, and with nothing else; nothing stays open then.
   */
  async connectThrough(name: string, target: UpstreamTarget, signal: AbortSignal): Promise<Upstream> {
    return await this.#clientOf(name).connect(target, signal);
  }

  /**
   * Datagrams through the named proxy.
   * @throws UpstreamError when there is no such proxy, or it is of a kind that carries none (only `weft` does)
   */
  openUdp(name: string): UdpPath {
    return this.#clientOf(name).openUdp();
  }

  health(): UpstreamHealth[] {
    return [...this.#clients.values()].map((client) => client.health());
  }

  /** Closes what waits. Tunnels are their holders'. */
  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }
}
