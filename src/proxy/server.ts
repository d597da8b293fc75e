/**
 * The proxy as one object: a listening front, plain forwarding, tunnels, and the numbers of all of them.
 *
 * Invariant: after `stop` nothing of it is left: no socket, no thread, no timer.
 */
import { type WeftError } from '../base/index.ts';
import { Access } from './access.ts';
import { ProxyTallies, type ProxyConnection, type ProxyCounters } from './counters.ts';
import { Dialer } from './dialer/dialer.ts';
import { reachProxy } from './dialer/reach-proxy.ts';
import { Reacher } from './dialer/reacher.ts';
import { makeDoors, type Doors } from './doors.ts';
import { DEFAULT_LIMITS, type ListenAddress, type ProxyOptions } from './options.ts';
import { PolicyHolder } from './policy/policy-holder.ts';
import { DEFAULT_POLICY, type ProxyPolicy } from './policy/types.ts';
import { TRANSPARENT_MARK, type RedirectPort } from './transparent/redirect-table.ts';
import { TransparentFront } from './transparent/transparent-front.ts';
import { Tunnels } from './tunnels.ts';
import type { UpstreamHealth, UpstreamProxy } from './upstream/types.ts';
import { UpstreamSet } from './upstream/upstream-set.ts';
import { UpstreamAgent } from './upstream-agent.ts';

/** Reasons to leave an address out while another one works. */
const ABSENT_ADDRESS: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);

export class ProxyServer {
  readonly #options: ProxyOptions;
  readonly #tallies = new ProxyTallies();
  readonly #doors: Doors;
  readonly #agent: UpstreamAgent;
  readonly #policy: PolicyHolder;
  readonly #upstreams: UpstreamSet;
  #multipathVia: UpstreamProxy | undefined;
  readonly #tunnels: Tunnels;
  readonly #transparent: TransparentFront | undefined;
  #lastId = 0;
  #state: 'new' | 'started' | 'stopped' = 'new';
  #stopping: Promise<void> | undefined;
  #ownPorts: readonly ListenAddress[] = [];

  constructor(options: ProxyOptions) {
    this.#options = options;
    const { logger, allowRemote = false, multipath = true, transparent, policy = DEFAULT_POLICY } = options;
    const mark = transparent === undefined ? options.mark : TRANSPARENT_MARK;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const tallies = this.#tallies;
    const nextId = () => ++this.#lastId;
    const { connectTimeoutMs: timeoutMs, attemptDelayMs } = limits;
    this.#policy = new PolicyHolder(policy);
    const reacher = new Reacher({
      attemptDelayMs,
      isOwnPort: (port) => this.#ownPorts.filter((own) => own.port === port).map((own) => own.address),
      ...(mark === undefined ? {} : { mark }),
    });
    const multipathVia = () => this.#multipathVia?.name;
    const upstreams = () => this.#upstreams;
    const reach = reachProxy({ reacher, multipath, multipathVia, upstreams, attemptDelayMs });
    this.#upstreams = new UpstreamSet({ reach, logger, timeoutMs });
    this.#applyUpstreams();
    const dialer = new Dialer({
      policy: this.#policy,
      reacher,
      upstreams: this.#upstreams,
      multipath,
      multipathVia,
      timeoutMs,
      attemptDelayMs,
    });
    this.#agent = new UpstreamAgent({
      dialer,
      policy: this.#policy,
      tallies,
      nextId,
      maxIdle: limits.maxIdleUpstreams,
      idleTimeoutMs: limits.upstreamIdleTimeoutMs,
    });
    const access = new Access(() => this.policy);
    this.#tunnels = new Tunnels({ dialer, clients: access.clients, tallies, limits, logger, nextId });
    this.#transparent =
      transparent && new TransparentFront({ ...transparent, tunnels: this.#tunnels, tallies, logger });
    this.#doors = makeDoors({
      allowRemote,
      limits,
      access,
      policy: this.#policy,
      dialer,
      tunnels: this.#tunnels,
      agent: this.#agent,
      openUdp: (upstream) => this.#upstreams.openUdp(upstream),
      tallies,
      logger,
    });
  }

  /** Where it listens, with real port numbers. */
  get addresses(): readonly ListenAddress[] {
    return this.#doors.front.addresses;
  }

  /** Where redirected connections are taken; none when that was not asked for. */
  get transparentPorts(): readonly RedirectPort[] {
    return this.#transparent?.ports ?? [];
  }

  /**
   * Listens on every address, or on those of the list that this host has.
   *
   * @throws WeftError EADDRINUSE, EACCES … naming address and port; NO_WORKER when the package was not built.
   * Nothing is left open then.
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error(`a proxy starts once; this one is ${this.#state}`);
    this.#state = 'started';
    let absent: WeftError | undefined;
    try {
      for (const address of this.#options.listen) {
        try {
          await this.#doors.front.listen(address);
        } catch (error) {
          if (!ABSENT_ADDRESS.has((error as WeftError).code)) throw error;
          absent ??= error as WeftError;
          this.#options.logger.debug({ ...address }, (error as WeftError).message);
        }
        this.#checkNotStopped();
      }
      if (this.addresses.length === 0 && absent !== undefined) throw absent;
      await this.#tunnels.start();
      this.#checkNotStopped();
      await this.#transparent?.start();
      this.#checkNotStopped();
    } catch (error) {
      await this.#close();
      throw error;
    }
    this.#ownPorts = [...this.addresses, ...(this.#transparent?.addresses ?? [])];
  }

  /** The policy in force. */
  get policy(): ProxyPolicy {
    return this.#policy.current.policy;
  }

  /**
   * From now on this policy counts. What is open stays open; connections that wait for their next use do not.
   * @throws WeftError `BAD_POLICY`; the former one stays in force then
   */
  setPolicy(policy: ProxyPolicy): void {
    this.#policy.replace(policy);
    this.#applyUpstreams();
    this.#agent.closeIdle();
  }

  /**
   * The way `multipath` leads through this proxy, the appliance's; `undefined`: from this host itself. It is told
   * addresses, never names. Its name must be none of the policy's upstream proxies.
   */
  setMultipathVia(proxy: UpstreamProxy | undefined): void {
    this.#multipathVia = proxy;
    this.setPolicy(this.policy);
  }

  /**
   * The paths are there now: connections to upstream proxies that wait were made before, and the kernel gives them no
   * others (it decides when a connection begins whether it will). Tunnels go on.
   */
  renewUpstreams(): void {
    this.#upstreams.renew();
  }

  #applyUpstreams(): void {
    const via = this.#multipathVia;
    this.#upstreams.apply([...this.policy.upstreams.values(), ...(via === undefined ? [] : [via])]);
  }

  /** How the upstream proxies do. */
  upstreamHealth(): UpstreamHealth[] {
    return this.#upstreams.health();
  }

  #checkNotStopped(): void {
    if (this.#state === 'stopped') throw new Error('the proxy was stopped while it started');
  }

  /**
   * Stops listening, breaks off everything under way, and resolves when all is closed; called again, at the same
   * time. A start under way fails.
   */
  stop(): Promise<void> {
    this.#state = 'stopped';
    this.#stopping ??= this.#close();
    return this.#stopping;
  }

  async #close(): Promise<void> {
    this.#state = 'stopped';
    this.#doors.associations.stop();
    this.#upstreams.close();
    await Promise.all([
      this.#doors.front.close(),
      this.#transparent?.close(),
      this.#tunnels.stop(),
      this.#agent.close(),
    ]);
  }

  counters(): ProxyCounters {
    const tallies = this.#tallies;
    const open = this.connections();
    return {
      clientConnections: tallies.clientConnections,
      requests: tallies.requests,
      exchangesFailed: tallies.exchangesFailed,
      requestsRetried: tallies.requestsRetried,
      tunnelsOpened: tallies.tunnelsOpened,
      tunnelsOpen: this.#tunnels.openCount,
      tunnelsClosed: tallies.tunnelEnds.total,
      tunnelsClosedByReason: tallies.tunnelEnds.byKind(),
      dialsFailed: tallies.dialFailures.total,
      dialsFailedByReason: tallies.dialFailures.byKind(),
      upstreamsMptcp: tallies.upstreamsMptcp,
      upstreamsTcp: tallies.upstreamsTcp,
      fallbacksByReason: tallies.fallbacks.byKind(),
      refused: tallies.refusals.total,
      refusedByReason: tallies.refusals.byKind(),
      bytesUp: open.reduce((sum, { bytesUp }) => sum + bytesUp, tallies.bytesUp),
      bytesDown: open.reduce((sum, { bytesDown }) => sum + bytesDown, tallies.bytesDown),
      ...this.#doors.associations.counters(),
    };
  }

  /** Every connection whose upstream is open, kept idle ones included. */
  connections(): ProxyConnection[] {
    return [...this.#tunnels.connections(), ...this.#agent.connections()];
  }
}
