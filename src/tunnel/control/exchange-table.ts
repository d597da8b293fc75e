/**
 * What the responder remembers: exchanges, by connection and then by identity. Pure; knows no bytes.
 *
 * Invariant: at most `MAX_PER_OWNER` exchanges of one connection and `MAX_EXCHANGES` in all, each forgotten
 * `MEMORY_MS` after the last datagram that belonged to it. Where a table is full the one that was silent longest
 * goes, so that a flood about one connection costs others nothing.
 */

/** The longest exchange takes 6 s; repeated answers come from here as long as they can be asked for. */
export const MEMORY_MS = 10_000;
export const MAX_PER_OWNER = 128;
export const MAX_EXCHANGES = 4096;

/** Round 3 as it was answered. */
export interface Answered {
  readonly token: number;
  readonly request: Uint8Array;
  readonly reply: Uint8Array;
  readonly atMs: number;
}

export interface Exchange<Connection> {
  readonly identity: string;
  /** Connection, as the driver names it. */
  readonly owner: string;
  readonly from: string;
  readonly connection: Connection;
  /** Key of the answers. */
  readonly answerKey: Uint8Array;
  readonly token: number;
  state: 'open' | 'running' | 'answered';
  /** In state `running`: round 3. */
  running: { readonly ticket: number; readonly request: Uint8Array } | undefined;
  /** In state `answered` this exchange's, before that its predecessor's with the same identity, if there was one. */
  answered: Answered | undefined;
  wrongTokens: number;
  /** Counts up with each exchange that is opened. */
  readonly serial: number;
  seenAtMs: number;
}

export class ExchangeTable<Connection> {
  /** BOUNDED: see the head of the file. In each map the exchange that was silent longest comes first. */
  readonly #owners = new Map<string, Map<string, Exchange<Connection>>>();
  #size = 0;
  /** Exchanges that went because a table was full. */
  evicted = 0;

  get size(): number {
    return this.#size;
  }

  find(owner: string, identity: string): Exchange<Connection> | undefined {
    return this.#owners.get(owner)?.get(identity);
  }

  /** Adds an exchange, or marks one that is there as heard of at `nowMs`. */
  touch(exchange: Exchange<Connection>, nowMs: number): void {
    const predecessor = this.find(exchange.owner, exchange.identity);
    if (predecessor !== undefined) this.remove(predecessor);
    let exchanges = this.#owners.get(exchange.owner);
    if (exchanges !== undefined && exchanges.size >= MAX_PER_OWNER) this.#evict(exchanges);
    else if (this.#size >= MAX_EXCHANGES) this.#evict(this.#owners.values().next().value!);
    // Removing the last one takes the map of the owner away.
    exchanges = this.#owners.get(exchange.owner) ?? new Map<string, Exchange<Connection>>();
    exchange.seenAtMs = nowMs;
    exchanges.set(exchange.identity, exchange);
    // The owner heard of last comes last, so that the first one's first exchange is an old one.
    this.#owners.delete(exchange.owner);
    this.#owners.set(exchange.owner, exchanges);
    this.#size++;
  }

  remove(exchange: Exchange<Connection>): void {
    const exchanges = this.#owners.get(exchange.owner);
    if (exchanges?.get(exchange.identity) !== exchange) return;
    exchanges.delete(exchange.identity);
    if (exchanges.size === 0) this.#owners.delete(exchange.owner);
    this.#size--;
  }

  /** Closes the exchanges that the same peer opened about the same connection earlier and did not finish. */
  supersede(exchange: Exchange<Connection>): void {
    for (const other of this.#owners.get(exchange.owner)?.values() ?? []) {
      if (other.from === exchange.from && other.state === 'open' && other.serial < exchange.serial) {
        this.remove(other);
      }
    }
  }

  /** Forgets what is too old. */
  expire(nowMs: number): void {
    for (const exchanges of this.#owners.values()) {
      for (const exchange of exchanges.values()) {
        if (nowMs - exchange.seenAtMs < MEMORY_MS) break;
        this.remove(exchange);
      }
    }
  }

  #evict(exchanges: ReadonlyMap<string, Exchange<Connection>>): void {
    const oldest = exchanges.values().next().value;
    if (oldest === undefined) return;
    this.remove(oldest);
    this.evicted++;
  }
}
