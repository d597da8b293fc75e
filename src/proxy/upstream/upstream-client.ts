/**
 * One upstream proxy: tunnels and datagrams through it, and how it does.
 *
 *   http, socks5   a connection for each tunnel, asked on the bare descriptor: the relay thread carries it
 *   https, weft    a stream, one that waited in the pool when there is one; such a one may have died unnoticed, so
 *                  without an answer the request goes out again, once, on a new one
 *
 * Invariant: every connection is waiting in the pool, under way to a tunnel, or given out; `close` ends the first two.
 */
import { setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import { errorText, formatSocketAddress, type Logger } from '../../base/index.ts';
import { RaceLost, raceStaggered, readMptcpInfo } from '../../mptcp/index.ts';
import { closeFd } from '../../native/index.ts';
import type { SocketUpstream, StreamUpstream, Upstream } from '../dialer/upstream.ts';
import { setKeepalive } from '../keepalive.ts';
import { connectRequest, connectUdpRequest, HttpNegotiation, type HttpCredentials } from './http-connect.ts';
import { NegotiationError, negotiateFd } from './negotiate-fd.ts';
import { negotiateStream } from './negotiate-stream.ts';
import type { Negotiation } from './negotiation.ts';
import { ReadyPool } from './ready-pool.ts';
import { Socks5Negotiation } from './socks5-connect.ts';
import { connectTls, isByToken } from './tls-connect.ts';
import type { ReachProxy, UdpPath, UpstreamHealth, UpstreamProxy, UpstreamTarget } from './types.ts';
import { UdpThrough } from './udp-through.ts';
import { UpstreamError } from './upstream-error.ts';

export interface UpstreamClientOptions {
  readonly reach: ReachProxy;
  readonly logger: Logger;
  /** For the connection, TLS, and the proxy's answer together. */
  readonly timeoutMs: number;
}

const READY_CONNECTIONS = 4;
/** Shorter than a far end waits for a request (far-server.ts). */
const READY_LIFETIME_MS = 120_000;
const KEEN_FOR_MS = 300_000;

/** So long a connection that waited may be silent before another one is asked too. */
const SILENT_FOR_MS = 2000;

type Ready = StreamUpstream;
type MakeNegotiation = (credentials: HttpCredentials) => Negotiation;

interface Outcome {
  readonly ready?: Ready;
  readonly error?: Error;
}

const told = (credentials: HttpCredentials) => ({ hasCredentials: Object.keys(credentials).length > 0 });

export class UpstreamClient {
  readonly proxy: UpstreamProxy;
  readonly #options: UpstreamClientOptions;
  readonly #pool: ReadyPool<Ready> | undefined;
  readonly #closed = new AbortController();
  #opened = 0;
  #failed = 0;
  /** `undefined`: untried. */
  #up: boolean | undefined;
  #why: string | undefined;

  constructor(proxy: UpstreamProxy, options: UpstreamClientOptions) {
    this.proxy = proxy;
    this.#options = options;
    // BOUNDED: one listener for each tunnel that is being set up.
    setMaxListeners(0, this.#closed.signal);
    if (!this.#isStream) return;
    this.#pool = new ReadyPool({
      target: READY_CONNECTIONS,
      lifetimeMs: READY_LIFETIME_MS,
      keenForMs: KEEN_FOR_MS,
      make: (signal) => this.#inTime([signal], (all) => this.#connectStream(all)),
      onMade: (error) => this.#note(error),
    });
    // A wrong token is told at the start, not at the first tunnel.
    if (proxy.kind === 'weft') this.#pool.warmUp();
  }

  get #isStream(): boolean {
    return this.proxy.kind === 'weft' || this.proxy.kind === 'https';
  }

  /** Rejects with UpstreamError, and with nothing else; nothing stays open then. */
  async connect(target: UpstreamTarget, signal: AbortSignal): Promise<Upstream> {
    try {
      const upstream = await this.#inTime<Upstream>([signal, this.#closed.signal], (all) =>
        this.#isStream
          ? this.#ask(
              (credentials) => new HttpNegotiation(connectRequest(target, credentials), told(credentials)),
              all,
            )
          : this.#connectSocket(target, all),
      );
      this.#opened++;
      this.#note(undefined);
      return upstream;
    } catch (error) {
      throw this.#failure(error, signal);
    }
  }

  /** @throws UpstreamError when the proxy carries no datagrams */
  openUdp(): UdpPath {
    const { kind, name } = this.proxy;
    if (kind !== 'weft') {
      throw new UpstreamError(
        `the upstream proxy "${name}" carries no datagrams: only a far end does`,
        'refused',
      );
    }
    return new UdpThrough((target, signal) => this.#openFlow(target, signal));
  }

  async #openFlow(target: UpstreamTarget, signal: AbortSignal): Promise<Duplex> {
    try {
      const { stream } = await this.#inTime([signal, this.#closed.signal], (all) =>
        this.#ask(
          (credentials) =>
            new HttpNegotiation(connectUdpRequest(this.proxy, target, credentials), {
              ...told(credentials),
              isUpgrade: true,
            }),
          all,
        ),
      );
      this.#note(undefined);
      return stream;
    } catch (error) {
      throw this.#failure(error, signal);
    }
  }

  health(): UpstreamHealth {
    const { name, kind, host, port } = this.proxy;
    return {
      name,
      kind,
      host,
      port,
      state: this.#up === undefined ? 'untried' : this.#up ? 'up' : 'down',
      ...(this.#why === undefined ? {} : { why: this.#why }),
      opened: this.#opened,
      failed: this.#failed,
      ready: this.#pool?.size ?? 0,
    };
  }

  close(): void {
    this.#closed.abort(new UpstreamError(`the upstream proxy "${this.proxy.name}" was taken out`, 'aborted'));
    this.#pool?.close();
  }

  /** One signal for the caller's, the client's end and the time limit. */
  async #inTime<T>(signals: readonly AbortSignal[], work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#options;
    const stop = new AbortController();
    const onAbort = () => stop.abort(signals.find(({ aborted }) => aborted)?.reason);
    const timer = setTimeout(() => {
      const failed = {
        failure: 'timeout',
        text: `no answer within ${timeoutMs / 1000} s (ETIMEDOUT)`,
      } as const;
      stop.abort(new NegotiationError(failed, false));
    }, timeoutMs);
    for (const signal of signals) {
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
    }
    try {
      return await work(stop.signal);
    } finally {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener('abort', onAbort);
    }
  }

  async #reach(signal: AbortSignal): Promise<SocketUpstream> {
    signal.throwIfAborted();
    const { host, port, multipath } = this.proxy;
    const socket = await this.#options.reach(
      { host, port, ...(multipath === undefined ? {} : { multipath }) },
      signal,
    );
    setKeepalive(socket.fd);
    return socket;
  }

  async #connectSocket(target: UpstreamTarget, signal: AbortSignal): Promise<SocketUpstream> {
    const { kind, user, password, name } = this.proxy;
    const negotiation: Negotiation =
      kind === 'socks5'
        ? new Socks5Negotiation(target, user, password)
        : new HttpNegotiation(connectRequest(target, this.#credentials), told(this.#credentials));
    const socket = await this.#reach(signal);
    try {
      const ahead = await negotiateFd(socket.fd, negotiation, signal);
      return { ...socket, via: name, ...(ahead.length === 0 ? {} : { ahead }) };
    } catch (error) {
      closeFd(socket.fd);
      throw error;
    }
  }

  async #connectStream(signal: AbortSignal): Promise<Ready> {
    const socket = await this.#reach(signal);
    const token = socket.protocol === 'mptcp' ? readMptcpInfo(socket.fd)?.token : undefined;
    const stream = await connectTls(socket.fd, this.proxy, signal);
    const { address, port, protocol, fallbackReason } = socket;
    return {
      kind: 'stream',
      stream,
      address,
      port,
      via: this.proxy.name,
      protocol,
      ...(fallbackReason === undefined ? {} : { fallbackReason }),
      ...(token === undefined ? {} : { token }),
    };
  }

  get #credentials(): HttpCredentials {
    const { user, password, token } = this.proxy;
    if (isByToken(this.proxy)) return {};
    return {
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password }),
      ...(token === undefined ? {} : { token }),
    };
  }

  /**
   * Asks on a connection that waited, when there is one. It may be dead without anybody knowing (a laptop that slept, a
   * network that went away): when it ends without an answer, or gives none for a while, another one is asked too.
   */
  async #ask(negotiation: MakeNegotiation, signal: AbortSignal): Promise<Ready> {
    const waited = this.#pool?.take();
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
      if (outcome.ready !== waited) this.#pool?.drain();
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
      await negotiateStream(ready.stream, negotiation(this.#credentials), signal);
      return ready;
    } catch (error) {
      ready.stream.destroy();
      throw error;
    }
  }

  /** Up or down, told once for each change. */
  #note(error: Error | undefined): void {
    const { name, host, port } = this.proxy;
    const { logger } = this.#options;
    const at = `upstream proxy "${name}" (${formatSocketAddress(host, port)})`;
    if (error === undefined) {
      if (this.#up === false) logger.info({ upstream: name }, `${at} is back`);
      else if (this.#up === undefined) logger.debug({ upstream: name }, `${at} is there`);
      this.#up = true;
      this.#why = undefined;
      this.#pool?.noteReached();
      return;
    }
    const why = errorText(error);
    if (this.#up !== false || this.#why !== why) logger.warn({ upstream: name }, `${at}: ${why}`);
    this.#up = false;
    this.#why = why;
  }

  #failure(error: unknown, signal: AbortSignal): UpstreamError {
    if (error instanceof UpstreamError) return error;
    const { name } = this.proxy;
    if (signal.aborted) return new UpstreamError(`upstream proxy "${name}": given up`, 'aborted');
    const failed =
      error instanceof NegotiationError
        ? error.failed
        : ({ failure: 'unreachable', text: errorText(error), status: undefined } as const);
    const failure = new UpstreamError(`upstream proxy "${name}": ${failed.text}`, failed.failure, {
      cause: error,
      ...(failed.status === undefined ? {} : { status: failed.status }),
    });
    this.#failed++;
    if (failure.isProxysFault) this.#note(error as Error);
    else this.#note(undefined);
    return failure;
  }
}
