/**
 * Which of a name's addresses to try when (pure): RFC 8305 sections 4 and 5. It starts no connection itself; the
 * driver (connect-race.ts) does what `poll` says and reports what became of it. Time is given, in ms of any clock.
 *
 * Invariant: each address is started at most once; while nothing runs and addresses are left, `poll` starts one.
 */
import { isIpv6 } from '../base/ip.ts';

/** RFC 8305 section 8: recommended 250 ms. */
export const DEFAULT_ATTEMPT_DELAY_MS = 250;

/**
 * Families in turn, beginning with that of the first address; within a family the resolver's order stays
 * (RFC 8305 section 4, First Address Family Count of 1).
 */
export function interleaveFamilies(addresses: readonly string[]): string[] {
  const first = addresses[0];
  if (first === undefined) return [];
  const preferred = addresses.filter((address) => isIpv6(address) === isIpv6(first));
  const others = addresses.filter((address) => isIpv6(address) !== isIpv6(first));
  const order: string[] = [];
  for (let i = 0; i < Math.max(preferred.length, others.length); i++) {
    if (i < preferred.length) order.push(preferred[i]!);
    if (i < others.length) order.push(others[i]!);
  }
  return order;
}

export class HappyEyeballs {
  readonly #count: number;
  readonly #attemptDelayMs: number;
  #started = 0;
  readonly #running = new Set<number>();
  #nextStartAtMs = -Infinity;
  #won = false;

  /** @param count how many addresses there are; they are named by their index */
  constructor(count: number, attemptDelayMs = DEFAULT_ATTEMPT_DELAY_MS) {
    this.#count = count;
    this.#attemptDelayMs = attemptDelayMs;
  }

  /** The attempt to start now, or `undefined`. Call until it gives none. */
  poll(nowMs: number): number | undefined {
    if (this.#won || this.#started === this.#count || nowMs < this.#nextStartAtMs) return undefined;
    const index = this.#started++;
    this.#running.add(index);
    this.#nextStartAtMs = nowMs + this.#attemptDelayMs;
    return index;
  }

  /** When to poll again if nothing else happens, or `undefined` for never. */
  pollDeadlineMs(): number | undefined {
    return this.#won || this.#started === this.#count ? undefined : this.#nextStartAtMs;
  }

  /** A failed attempt lets the next one start at once, without waiting for the delay. */
  handleFailed(index: number): void {
    if (this.#running.delete(index)) this.#nextStartAtMs = -Infinity;
  }

  /** The first that connects wins. Returns the attempts to give up, or `undefined` when another has won already. */
  handleConnected(index: number): number[] | undefined {
    if (!this.#running.delete(index) || this.#won) return undefined;
    this.#won = true;
    const losers = [...this.#running];
    this.#running.clear();
    return losers;
  }

  /** Every address was tried and failed. */
  get exhausted(): boolean {
    return !this.#won && this.#started === this.#count && this.#running.size === 0;
  }
}
