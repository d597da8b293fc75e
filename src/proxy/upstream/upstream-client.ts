/**
 * One upstream proxy: tunnels and datagrams through it, and how it does.
 *
 *   http, socks5   a connection for each tunnel, asked on the bare descriptor: the relay thread carries it
 *   https, weft    a stream, one that waited in the pool when there is one; such a one may have died unnoticed, so
 *                  without an answer the request goes out again, once, on a new one; a far end's tunnels are framed
 *
 * Invariant: every connection is waiting in the pool, under way to a tunnel, or given out; `close` ends the first two.
 */
import { setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import { errorText, formatSocketAddress, type Logger } from '../../base/index.ts';
import { closeFd } from '../../native/index.ts';
import type { SocketUpstream, StreamUpstream, Upstream } from '../dialer/upstream.ts';
import { setKeepalive } from '../keepalive.ts';
import { FramedStream } from './framed-stream.ts';
import { connectRequest, connectUdpRequest, HttpNegotiation, type HttpCredentials } from './http-connect.ts';
import { inTime } from './in-time.ts';
import { NegotiationError, negotiateFd } from './negotiate-fd.ts';
import type { Negotiation } from './negotiation.ts';
import { ProxyStreams } from './proxy-streams.ts';
import { Socks5Negotiation } from './socks5-connect.ts';
import { isByToken } from './tls-connect.ts';
import type { ReachProxy, UdpPath, UpstreamHealth, UpstreamProxy, UpstreamTarget } from './types.ts';
import { UdpThrough } from './udp-through.ts';
import { UpstreamError } from './upstream-error.ts';

export interface UpstreamClientOptions {
  readonly reach: ReachProxy;
  readonly logger: Logger;
  /** For the connection, TLS, and the proxy's answer together. */
  readonly timeoutMs: number;
}

export class UpstreamClient {
  readonly proxy: UpstreamProxy;
  readonly #options: UpstreamClientOptions;
  /** Absent: it is asked on bare descriptors. */
  readonly #streams: ProxyStreams | undefined;
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
    if (proxy.kind !== 'weft' && proxy.kind !== 'https') return;
    this.#streams = new ProxyStreams({
      proxy,
      reach: (signal) => this.#reach(signal),
      timeoutMs: options.timeoutMs,
      onMade: (error) => this.#note(error),
    });
    // A wrong token is told at the start, not at the first tunnel.
    if (proxy.kind === 'weft') this.#streams.warmUp();
  }

  /** Rejects with UpstreamError, and with nothing else; nothing stays open then. */
  async connect(target: UpstreamTarget, signal: AbortSignal): Promise<Upstream> {
    try {
      const upstream = await this.#inTime<Upstream>(signal, (all) =>
        this.#streams === undefined
          ? this.#connectSocket(target, all)
          : this.#connectStream(this.#streams, target, all),
      );
      this.#opened++;
      this.#note(undefined);
      return upstream;
    } catch (error) {
      throw this.#failure(error, signal);
    }
  }

  async #connectStream(
    streams: ProxyStreams,
    target: UpstreamTarget,
    signal: AbortSignal,
  ): Promise<StreamUpstream> {
    const isFramed = this.proxy.kind === 'weft';
    const request = connectRequest(target, this.#credentials, isFramed);
    const ready = await streams.ask(() => this.#httpNegotiation(request, { isFramed }), signal);
    return isFramed ? { ...ready, stream: new FramedStream(ready.stream) } : ready;
  }

  /** @throws UpstreamError when the proxy carries no datagrams */
  openUdp(): UdpPath {
    const { kind, name } = this.proxy;
    const streams = this.#streams;
    if (kind !== 'weft' || streams === undefined) {
      const text = `the upstream proxy "${name}" carries no datagrams: only a far end does`;
      throw new UpstreamError(text, 'refused');
    }
    return new UdpThrough((target, signal) => this.#openFlow(streams, target, signal));
  }

  async #openFlow(streams: ProxyStreams, target: UpstreamTarget, signal: AbortSignal): Promise<Duplex> {
    const first = connectUdpRequest(this.proxy, target, this.#credentials);
    try {
      const { stream } = await this.#inTime(signal, (all) =>
        streams.ask(() => this.#httpNegotiation(first, { isUpgrade: true }), all),
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
      ready: this.#streams?.readyCount ?? 0,
    };
  }

  /** Other connections wait from now on; tunnels go on. */
  renew(): void {
    this.#streams?.renew();
  }

  close(): void {
    this.#closed.abort(new UpstreamError(`the upstream proxy "${this.proxy.name}" was taken out`, 'aborted'));
    this.#streams?.close();
  }

  /** Within the time limit, and while neither the caller nor this client gives it up. */
  #inTime<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return inTime(this.#options.timeoutMs, [signal, this.#closed.signal], work);
  }

  #httpNegotiation(first: Uint8Array, wanted: { isUpgrade?: boolean; isFramed?: boolean } = {}): Negotiation {
    const hasCredentials = Object.keys(this.#credentials).length > 0;
    return new HttpNegotiation(first, { ...wanted, hasCredentials });
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
        : this.#httpNegotiation(connectRequest(target, this.#credentials));
    const socket = await this.#reach(signal);
    try {
      const ahead = await negotiateFd(socket.fd, negotiation, signal);
      return { ...socket, via: name, ...(ahead.length === 0 ? {} : { ahead }) };
    } catch (error) {
      closeFd(socket.fd);
      throw error;
    }
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
      this.#streams?.noteReached();
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
