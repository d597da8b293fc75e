/**
 * What one client may have at once, by its address and by its user: connections, tunnels, new ones a second.
 *
 * Invariant: who has entered leaves exactly once; a client with nothing open and nothing new lately costs nothing.
 */
import { isIpv6, networkOf } from '../base/index.ts';
import type { ClientIdentity, ClientLimits } from './policy/types.ts';
import { RateTable } from './rate-table.ts';

/** Hosts get a whole IPv6 /64, so that is what counts as one client. */
const IPV6_CLIENT_BITS = 64;

/** The client that an address stands for, in tables. */
export function clientKey(address: string): string {
  return isIpv6(address) ? `${networkOf(address, IPV6_CLIENT_BITS)}/${IPV6_CLIENT_BITS}` : address;
}

export type LimitedThing = 'connections' | 'tunnels';

export interface OverLimit {
  /** 503: too many at once. 429: too many new ones. */
  readonly status: 503 | 429;
  readonly reason: string;
}

export type Entry = { readonly leave: () => void } | { readonly over: OverLimit };

/** BOUNDED: how many clients' rates are remembered. */
const MAX_RATES = 8192;

export class LimitedClients {
  readonly #limits: () => ClientLimits;
  readonly #nowMs: () => number;
  /** BOUNDED by the proxy's own limits: only clients that have something open are in it. */
  readonly #open: Readonly<Record<LimitedThing, Map<string, number>>> = {
    connections: new Map(),
    tunnels: new Map(),
  };
  #rates: RateTable | undefined;
  #ratesPerSecond = 0;

  /**
   * @param limits of the policy in force; those who are over a limit that has become smaller stay
   * @param nowMs monotonic
   */
  constructor(limits: () => ClientLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  /** A new connection of an address, before it has said anything. */
  enterConnection(address: string): Entry {
    return this.#enter('connections', this.#limits().connections, [clientKey(address)]);
  }

  /** A new tunnel, or an association of datagrams. Counts as a new request too. */
  enterTunnel(client: ClientIdentity): Entry {
    const over = this.takeNew(client);
    if (over !== undefined) return { over };
    return this.#enter('tunnels', this.#limits().tunnels, keysOf(client));
  }

  /** A new request of a client; `undefined`: it may go on. */
  takeNew(client: ClientIdentity): OverLimit | undefined {
    const { newPerSecond } = this.#limits();
    if (newPerSecond === undefined) return undefined;
    const rates = this.#ratesOf(newPerSecond);
    const nowMs = this.#nowMs();
    const keys = keysOf(client);
    const over = keys.find((key) => rates.waitMs(key, nowMs) > 0);
    if (over !== undefined) {
      return { status: 429, reason: `more than ${newPerSecond} new connections a second of ${who(over)}` };
    }
    for (const key of keys) rates.spend(key, nowMs);
    return undefined;
  }

  #ratesOf(perSecond: number): RateTable {
    if (this.#rates === undefined || this.#ratesPerSecond !== perSecond) {
      this.#rates = new RateTable({ burst: Math.max(1, perSecond), perSecond, maxKeys: MAX_RATES });
      this.#ratesPerSecond = perSecond;
    }
    return this.#rates;
  }

  #enter(thing: LimitedThing, limit: number | undefined, keys: readonly string[]): Entry {
    const open = this.#open[thing];
    const full = limit === undefined ? undefined : keys.find((key) => (open.get(key) ?? 0) >= limit);
    if (full !== undefined) {
      return {
        over: { status: 503, reason: `${who(full)} has ${limit} ${thing} open, which is all it may` },
      };
    }
    // Counted also where there is no limit now: a new policy may bring one.
    for (const key of keys) open.set(key, (open.get(key) ?? 0) + 1);
    let left = false;
    return {
      leave: () => {
        if (left) return;
        left = true;
        for (const key of keys) {
          const count = (open.get(key) ?? 1) - 1;
          if (count > 0) open.set(key, count);
          else open.delete(key);
        }
      },
    };
  }
}

const USER_KEY = 'user ';

function keysOf({ address, user }: ClientIdentity): readonly string[] {
  const key = clientKey(address);
  return user === undefined ? [key] : [key, `${USER_KEY}${user}`];
}

function who(key: string): string {
  return key.startsWith(USER_KEY) ? `user ${JSON.stringify(key.slice(USER_KEY.length))}` : key;
}
