/**
 * TLS connections to one upstream proxy, and asking on them for tunnels and flows: those that waited first.
 *
 * Invariant: every connection is waiting in the pool, being asked on, or given out; what fails is destroyed.
 */
import type { TLSSocket } from 'node:tls';
import { RaceLost, raceStaggered, readMptcpInfo } from '../../mptcp/index.ts';
import type { SocketUpstream, StreamUpstream } from '../dialer/upstream.ts';
import { inTime } from './in-time.ts';
import { NegotiationError } from './negotiate-fd.ts';
import { negotiateStream } from './negotiate-stream.ts';
import type { Negotiation } from './negotiation.ts';
import { ReadyPool } from './ready-pool.ts';
import { connectTls } from './tls-connect.ts';
import type { UpstreamProxy } from './types.ts';

const READY_CONNECTIONS = 4;
/** Shorter than a far end waits for a request (far-server.ts). */
const READY_LIFETIME_MS = 120_000;
const KEEN_FOR_MS = 300_000;

/** So long a connection that waited may be silent before another one is asked too. */
const SILENT_FOR_MS = 2000;

type Ready = StreamUpstream & { readonly stream: TLSSocket };
/** A new one for each try. */
type MakeNegotiation = () => Negotiation;

interface Outcome {
  readonly ready?: Ready;
  readonly error?: Error;
}

export interface ProxyStreamsOptions {
  readonly proxy: UpstreamProxy;
  /** A connection to the proxy, which is then the caller's. */
  readonly reach: (signal: AbortSignal) => Promise<SocketUpstream>;
  /** For a connection and TLS together. */
  readonly timeoutMs: number;
  /** Told of each connection that was made to wait, or could not be. */
  readonly onMade: (error: Error | undefined) => void;
}

export class ProxyStreams {
  readonly #options: ProxyStreamsOptions;
  readonly #pool: ReadyPool<Ready>;

  constructor(options: ProxyStreamsOptions) {
    this.#options = options;
    const { timeoutMs, onMade } = options;
    this.#pool = new ReadyPool({
      target: READY_CONNECTIONS,
      lifetimeMs: READY_LIFETIME_MS,
      keenForMs: KEEN_FOR_MS,
      make: (signal) => inTime(timeoutMs, [signal], (all) => this.#connectStream(all)),
      onMade,
    });
  }

  /** How many wait. */
  get readyCount(): number {
    return this.#pool.size;
  }

  /** Makes connections without a use, and keeps trying while they fail. */
  warmUp(): void {
    this.#pool.warmUp();
  }

  /** Other connections wait from now on; those given out stay. */
  renew(): void {
    this.#pool.drain();
  }

  /** The proxy was reached: no reason to wait before the next try. */
  noteReached(): void {
    this.#pool.noteReached();
  }

  close(): void {
    this.#pool.close();
  }

  /**
   * Asks on a connection that waited, when there is one. It may be dead without anybody knowing (a laptop that slept, a
   * network that went away): when it ends without an answer, or gives none for a while, another one is asked too.
   */
  async ask(negotiation: MakeNegotiation, signal: AbortSignal): Promise<Ready> {
    const waited = this.#pool.take();
    if (waited === undefined) return await this.#askFresh(negotiation, signal);
    const losers = new AbortController();
    const onAbort = () => losers.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const outcome = await raceStaggered<Ready | undefined, Outcome>({
        candidates: [waited, undefined],
        delayMs: SILENT_FOR_MS,
        start: (ready) => this.#askOne(ready, negotiation, losers.signal),
        discard: ({ ready }) => ready?.stream.destroy(),
        signal,
      });
      if (outcome.ready === undefined) throw outcome.error;
      // What waited longer than one that did not answer is no better.
      if (outcome.ready !== waited) this.#pool.drain();
      return outcome.ready;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw error instanceof RaceLost ? error.errors.at(-1) : error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      losers.abort(new Error('another connection was faster'));
    }
  }

  /** Rejects when another connection may do better; an answer of the proxy, whatever it is, is an outcome. */
  async #askOne(
    ready: Ready | undefined,
    negotiation: MakeNegotiation,
    signal: AbortSignal,
  ): Promise<Outcome> {
    try {
      if (ready === undefined) return { ready: await this.#askFresh(negotiation, signal) };
      return { ready: await this.#askOn(ready, negotiation, signal) };
    } catch (error) {
      if (error instanceof NegotiationError && error.isAnswer) return { error };
      throw error;
    }
  }

  async #askFresh(negotiation: MakeNegotiation, signal: AbortSignal): Promise<Ready> {
    return await this.#askOn(await this.#connectStream(signal), negotiation, signal);
  }

  async #askOn(ready: Ready, negotiation: MakeNegotiation, signal: AbortSignal): Promise<Ready> {
    try {
      await negotiateStream(ready.stream, negotiation(), signal);
      return ready;
    } catch (error) {
      ready.stream.destroy();
      throw error;
    }
  }

  async #connectStream(signal: AbortSignal): Promise<Ready> {
    const socket = await this.#options.reach(signal);
    const token = socket.protocol === 'mptcp' ? readMptcpInfo(socket.fd)?.token : undefined;
    const stream = await connectTls(socket.fd, this.#options.proxy, signal);
    const { address, port, protocol, fallbackReason } = socket;
    return {
      kind: 'stream',
      stream,
      address,
      port,
      via: this.#options.proxy.name,
      protocol,
      ...(fallbackReason === undefined ? {} : { fallbackReason }),
      ...(token === undefined ? {} : { token }),
    };
  }
}
