/**
 * The servers that answered an MPTCP connection with plain TCP not long ago. They are dialled with plain TCP for a
 * while: an MPTCP descriptor that fell back has one path like any other, but the relay cannot splice it, and the
 * kernel drops what such a descriptor's reader is late for (bench/RESULTS.md). Pure: time comes as an argument.
 *
 * Invariant: a server is remembered for the local address it was reached from, because a middlebox of one uplink may
 * be what took MPTCP away.
 */

/** How long a server that learns MPTCP meanwhile is denied it. */
export const PLAIN_FOR_MS = 10 * 60_000;
const MAX_SERVERS = 4096;

export interface PlainServer {
  readonly localAddress: string;
  readonly address: string;
  readonly port: number;
}

function keyOf({ localAddress, address, port }: PlainServer): string {
  return `${localAddress} ${address} ${port}`;
}

export class PlainServers {
  /** BOUNDED by MAX_SERVERS: the oldest goes first, which is also the first of the map. */
  readonly #untilMs = new Map<string, number>();

  /** It answered plain TCP at `nowMs` of the monotonic clock. */
  add(server: PlainServer, nowMs: number): void {
    const key = keyOf(server);
    this.#untilMs.delete(key);
    this.#untilMs.set(key, nowMs + PLAIN_FOR_MS);
    if (this.#untilMs.size <= MAX_SERVERS) return;
    for (const oldest of this.#untilMs.keys()) {
      this.#untilMs.delete(oldest);
      return;
    }
  }

  has(server: PlainServer, nowMs: number): boolean {
    const key = keyOf(server);
    const untilMs = this.#untilMs.get(key);
    if (untilMs === undefined) return false;
    if (nowMs < untilMs) return true;
    this.#untilMs.delete(key);
    return false;
  }

  get size(): number {
    return this.#untilMs.size;
  }
}
