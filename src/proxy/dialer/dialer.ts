/**
 * Reaches what a client asks for, the way that the policy says: `route` decides, `dial` goes there.
 *
 *   name or address → rules → (addresses → rules for each) → direct | multipath | through an upstream proxy | refused
 *
 * Invariants: a dial ends with one connection, which is then the caller's, or with a DialError; every other attempt
 * is aborted and closed, whichever of success, failure, timeout and abort is first. What is connected to is what the
 * rules were asked about: an address that was checked, never the name once more.
 */
import { canonicalIp, isLinkLocal, isLoopback, unmapV4 } from '../../base/index.ts';
import { interleaveFamilies, RaceLost, raceStaggered } from '../../mptcp/index.ts';
import { isLocalName, type CompiledPolicy, type Decision } from '../policy/compiled-policy.ts';
import type { PolicyHolder } from '../policy/policy-holder.ts';
import type { ClientIdentity, Destination, Way } from '../policy/types.ts';
import type { UpstreamTarget } from '../upstream/types.ts';
import {
  dialAborted,
  dialForbidden,
  dialRefusedByRule,
  dialTimedOut,
  throughUpstreamFailed,
} from './dial-error.ts';
import { isOfThisHost, type Reacher } from './reacher.ts';
import { closeUpstream, type Upstream } from './upstream.ts';

export interface DialRequest extends Destination {
  readonly client: ClientIdentity;
}

/** A dial under way. */
export interface Dialing {
  /** Rejects with DialError, and with nothing else. */
  readonly result: Promise<Upstream>;
  /** Gives it up, when it has not ended yet. */
  readonly abort: () => void;
}

/** What the policy has decided, addresses included. */
export type Route =
  /** From this host, to one of these addresses, best first. */
  | { readonly kind: 'direct' | 'multipath'; readonly addresses: readonly string[] }
  /** Through the named upstream proxy, which is told one of these hosts: a name, or addresses, best first. */
  | { readonly kind: 'upstream'; readonly upstream: string; readonly hosts: readonly string[] };

/** What of the upstream proxies is needed here (upstream/upstream-set.ts). */
export interface Upstreams {
  /** Rejects with UpstreamError. */
  connectThrough(name: string, target: UpstreamTarget, signal: AbortSignal): Promise<Upstream>;
}

export interface DialerOptions {
  readonly policy: PolicyHolder;
  readonly reacher: Reacher;
  readonly upstreams: Upstreams;
  /** `false`: the way `multipath` is plain TCP. */
  readonly multipath: boolean;
  /** Name of the upstream proxy that the way `multipath` leads through (an appliance); asked at each dial. */
  readonly multipathVia: () => string | undefined;
  /** For the whole of it, name resolution included. */
  readonly timeoutMs: number;
  readonly attemptDelayMs: number;
}

/** What resolvers take for an address although it is written unlike one: `127.1`, `0x7f000001` (inet_aton(3)). */
const NUMERIC = /^(?:0x[\da-f]*|\d+)(?:\.(?:0x[\da-f]*|\d+))*\.*$/i;

/** Addresses, and their name, that nobody but this host itself should reach through it. */
function isPrivateToHost(target: string): boolean {
  const plain = unmapV4(target);
  if (isLocalName(plain)) return true;
  return isLoopback(plain) || isLinkLocal(plain) || plain === '::' || plain.startsWith('0.');
}

function sameWay(a: Way, b: Way): boolean {
  if (a.kind === 'upstream' && b.kind === 'upstream') return a.upstream === b.upstream;
  return a.kind === b.kind;
}

/** Made once: without a reason of its own, each abort makes an exception with a stack. */
const ENDED = new Error('the dial has ended');

export class Dialer {
  readonly #options: DialerOptions;

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  dial(request: DialRequest): Dialing {
    // One signal for everything under way: the caller's abort, the timeout, and success, which stops the others.
    const stop = new AbortController();
    return { result: this.#run(request, stop), abort: () => stop.abort() };
  }

  async #run(request: DialRequest, stop: AbortController): Promise<Upstream> {
    const { host, port } = request;
    const { timeoutMs } = this.#options;
    let route: Route | undefined;
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      stop.abort();
    }, timeoutMs);
    try {
      route = await this.route(request, stop.signal);
      const upstream = await this.#go(route, host, port, stop.signal);
      if (!stop.signal.aborted) return upstream;
      closeUpstream(upstream);
      throw dialAborted(host, port);
    } catch (error) {
      if (timedOut) throw dialTimedOut(host, port, timeoutMs, route);
      if (stop.signal.aborted) throw dialAborted(host, port);
      throw error;
    } finally {
      clearTimeout(timer);
      stop.abort(ENDED);
    }
  }

  /**
   * Asks the policy, and the name servers where that is needed.
   *
   * Rejects with DialError: a rule refuses, the name does not resolve, or nobody else but this host may go there; any
   * error once the signal has aborted.
   */
  async route(request: DialRequest, signal: AbortSignal): Promise<Route> {
    const compiled = this.#options.policy.current;
    const route = await this.#decide(compiled, request, compiled.decide(request, request.client), signal);
    const targets = route.kind === 'upstream' ? route.hosts : route.addresses;
    if (request.client.remote && targets.some((target) => isPrivateToHost(target))) {
      const why = 'clients of other hosts may not reach addresses private to this one';
      throw dialForbidden(request.host, request.port, why);
    }
    const via = this.#options.multipathVia();
    if (route.kind !== 'multipath' || via === undefined) return route;
    // The appliance is a host of its own: what is here it reaches by other ways, or not at all.
    if (targets.some((target) => isPrivateToHost(target) || isOfThisHost(target))) {
      return { kind: 'direct', addresses: targets };
    }
    return { kind: 'upstream', upstream: via, hosts: targets };
  }

  async #decide(
    compiled: CompiledPolicy,
    request: DialRequest,
    named: Decision,
    signal: AbortSignal,
  ): Promise<Route> {
    const { host, port, client } = request;
    const { way } = named;
    if (way.kind === 'refuse' && !named.byAddress) throw dialRefusedByRule(host, port, way.reason);
    // A number is resolved here, so that it is what rules and upstream proxy take it for.
    if (way.kind === 'upstream' && !named.byAddress && !NUMERIC.test(host)) {
      return { kind: 'upstream', upstream: way.upstream, hosts: [canonicalIp(host) ?? host] };
    }
    let addresses: readonly string[];
    try {
      addresses = await this.#options.reacher.resolve(host, port, signal);
    } catch (error) {
      // A name that only the upstream proxy knows, and no rule that its address could break.
      if (way.kind !== 'upstream' || named.refusesByAddress || signal.aborted) throw error;
      return { kind: 'upstream', upstream: way.upstream, hosts: [host] };
    }
    if (!named.byAddress) return routeOf(way, addresses, host, port);
    const decisions = addresses.map((address) => ({
      address,
      ...compiled.decideAddress(request, client, address),
    }));
    const chosen = decisions.find((decision) => decision.way.kind !== 'refuse') ?? decisions[0];
    if (chosen === undefined) return routeOf(way, addresses, host, port);
    const alike = decisions.filter((decision) => sameWay(decision.way, chosen.way));
    const mayPassName = chosen.way.kind === 'upstream' && !decisions.some((one) => one.refusesByAddress);
    const allowed = mayPassName ? [host] : alike.map(({ address }) => address);
    return routeOf(chosen.way, allowed, host, port);
  }

  async #go(route: Route, host: string, port: number, signal: AbortSignal): Promise<Upstream> {
    const { reacher, multipath } = this.#options;
    if (route.kind === 'upstream') {
      return await this.#goThrough(route.upstream, route.hosts, host, port, signal);
    }
    const wantsMultipath = multipath && route.kind === 'multipath';
    return await reacher.connect(host, port, route.addresses, wantsMultipath, signal);
  }

  async #goThrough(
    name: string,
    hosts: readonly string[],
    host: string,
    port: number,
    signal: AbortSignal,
  ): Promise<Upstream> {
    const { upstreams, attemptDelayMs } = this.#options;
    try {
      return await raceStaggered({
        candidates: interleaveFamilies(hosts),
        delayMs: attemptDelayMs,
        start: (target) => upstreams.connectThrough(name, { host: target, port }, signal),
        discard: closeUpstream,
        signal,
      });
    } catch (error) {
      throw error instanceof RaceLost ? throughUpstreamFailed(host, port, error.errors) : error;
    }
  }
}

/** @throws DialError when the way is none */
function routeOf(way: Way, targets: readonly string[], host: string, port: number): Route {
  if (way.kind === 'refuse') throw dialRefusedByRule(host, port, way.reason);
  if (way.kind === 'upstream') return { kind: 'upstream', upstream: way.upstream, hosts: targets };
  return { kind: way.kind, addresses: targets };
}
