/**
 * Where the datagrams of one client may go, and by which way: the policy asked once for each destination and
 * remembered for a while, with names resolved.
 *
 * Invariant: what a datagram is sent to is what the policy was asked about: an address that was checked, never the
 * name once more.
 */
import { setMaxListeners } from 'node:events';
import { isIpv6 } from '../../base/index.ts';
import { DialError } from '../dialer/dial-error.ts';
import type { Dialer } from '../dialer/dialer.ts';
import type { PolicyHolder } from '../policy/policy-holder.ts';
import type { ClientIdentity } from '../policy/types.ts';

export type UdpRoute =
  /** `upstream`: the upstream proxy to go through; `undefined`: straight from this host, to an address. */
  | { readonly kind: 'send'; readonly host: string; readonly upstream: string | undefined }
  /** `reason`: that of the failure to find a way (dial-error.ts), or "many": multicast and broadcast. */
  | { readonly kind: 'drop'; readonly reason: string };

export interface DestinationsOptions {
  readonly dialer: Pick<Dialer, 'route'>;
  readonly policy: PolicyHolder;
  readonly client: ClientIdentity;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** BOUNDED: destinations of one client that are remembered. */
export const MAX_DESTINATIONS = 256;
const REMEMBERED_FOR_MS = 30_000;
/** A destination without a way is asked for again after a while. */
const FAILED_FOR_MS = 1000;

interface Remembered {
  route: UdpRoute | Promise<UdpRoute>;
  readonly generation: number;
  untilMs: number;
}

export class Destinations {
  readonly #options: DestinationsOptions;
  /** BOUNDED by MAX_DESTINATIONS; in the order of their latest use. */
  readonly #remembered = new Map<string, Remembered>();
  readonly #stop = new AbortController();

  constructor(options: DestinationsOptions) {
    this.#options = options;
    // One listener for each name that is being resolved; how many those are is the association's bound.
    setMaxListeners(0, this.#stop.signal);
  }

  /** @param host a name in lower case or a canonical address. At once for those that are remembered. */
  routeTo(host: string, port: number): UdpRoute | Promise<UdpRoute> {
    const { policy, nowMs } = this.#options;
    const key = `${host} ${port}`;
    const known = this.#remembered.get(key);
    this.#remembered.delete(key);
    if (known !== undefined && known.generation === policy.generation && nowMs() < known.untilMs) {
      this.#remembered.set(key, known);
      return known.route;
    }
    const entry: Remembered = {
      route: this.#find(host, port),
      generation: policy.generation,
      untilMs: Number.POSITIVE_INFINITY,
    };
    this.#remembered.set(key, entry);
    void Promise.resolve(entry.route).then((found) => {
      entry.route = found;
      entry.untilMs = nowMs() + (found.kind === 'send' ? REMEMBERED_FOR_MS : FAILED_FOR_MS);
    });
    if (this.#remembered.size > MAX_DESTINATIONS) {
      const [oldest] = this.#remembered.keys();
      if (oldest !== undefined) this.#remembered.delete(oldest);
    }
    return entry.route;
  }

  async #find(host: string, port: number): Promise<UdpRoute> {
    const { dialer, policy, client } = this.#options;
    try {
      const route = await dialer.route({ host, port, client }, this.#stop.signal);
      const [first] = route.kind === 'upstream' ? route.hosts : route.addresses;
      if (first === undefined) return { kind: 'drop', reason: 'not-found' };
      // The appliance is an upstream that no policy names; it carries streams, and datagrams go past it.
      if (route.kind === 'upstream' && policy.current.policy.upstreams.has(route.upstream)) {
        return { kind: 'send', host: first, upstream: route.upstream };
      }
      if (isForMany(first)) return { kind: 'drop', reason: 'many' };
      return { kind: 'send', host: first, upstream: undefined };
    } catch (error) {
      return { kind: 'drop', reason: error instanceof DialError ? error.failure : 'other' };
    }
  }

  /** Gives up what is asked just now. */
  close(): void {
    this.#stop.abort();
    this.#remembered.clear();
  }
}

/** Multicast and the limited broadcast address. */
function isForMany(address: string): boolean {
  if (isIpv6(address)) return /^ff/i.test(address);
  const first = Number(address.split('.')[0]);
  return (first >= 224 && first <= 239) || address === '255.255.255.255';
}
