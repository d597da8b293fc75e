/**
 * The far end as one object: what a Weft at a laptop leads through, for servers that speak no MPTCP. Inside each TLS
 * connection it takes one request, which makes the connection a tunnel (CONNECT) or a flow of datagrams (connect-udp).
 *
 * Invariants: nothing of a connection is acted on before its client has proved who it is; after `stop` nothing is
 * left: no socket, no timer.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '../../base/index.ts';
import { ProxyTallies, type Refusal } from '../counters.ts';
import { answerFields, answerText } from '../http/answer.ts';
import { Refusals } from '../http/refusals.ts';
import type { ListenAddress } from '../options.ts';
import { FarIdentity, type Proved } from './far-identity.ts';
import { FarListener } from './far-listener.ts';
import {
  DEFAULT_FAR_LIMITS,
  type FarAccess,
  type FarCounters,
  type FarLimits,
  type FarOptions,
} from './far-options.ts';
import { FarReach } from './far-reach.ts';
import { FarTunnels } from './far-tunnels.ts';
import { Reachable } from './reachable.ts';

const MAX_HEADER_BYTES = 16 * 1024;

interface Client {
  /** `undefined`: it has to say with its request. */
  proved: Proved | undefined;
  readonly address: string;
  readonly waiting: NodeJS.Timeout;
}

export class FarServer {
  readonly #options: FarOptions;
  readonly #limits: FarLimits;
  readonly #logger: Logger;
  readonly #tallies = new ProxyTallies();
  readonly #refusals = new Refusals(this.#tallies);
  readonly #listener: FarListener;
  readonly #http: HttpServer;
  readonly #tunnels: FarTunnels;
  /** BOUNDED: as the listener's connections. */
  readonly #clients = new Map<Duplex, Client>();
  #identity: FarIdentity;

  /** @throws the errors of OpenSSL for a certificate or key that is none */
  constructor(options: FarOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#limits = { ...DEFAULT_FAR_LIMITS, ...options.limits };
    this.#identity = new FarIdentity(options.access);
    const limits = this.#limits;
    const tallies = this.#tallies;
    this.#listener = new FarListener({
      multipath: options.multipath ?? true,
      limits,
      tallies,
      identity: () => this.#identity,
      onSecure: (stream, address) => this.#handleSecure(stream, address),
      onFailure: (address, reason) => {
        this.#logger.debug({ address, reason }, `a connection from ${address} has not proved who it is from`);
      },
    });
    this.#http = this.#makeHttp();
    const reach = new FarReach({ reachable: new Reachable(options.allow), limits });
    this.#tunnels = new FarTunnels({
      reach,
      limits,
      tallies,
      refusals: this.#refusals,
      logger: this.#logger,
    });
  }

  get addresses(): readonly ListenAddress[] {
    return this.#listener.addresses;
  }

  /** What the listeners take; known after `start`. */
  protocol: 'mptcp' | 'tcp' = 'tcp';

  /** @throws WeftError EADDRINUSE … naming address and port; nothing is left open then */
  async start(): Promise<void> {
    try {
      for (const address of this.#options.listen) this.protocol = await this.#listener.listen(address);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * Other tokens or certificates from now on. Connections of clients whose token is gone are closed; all others go on.
   * @throws the errors of OpenSSL for a certificate or key that is none; everything stays as it was then
   */
  setAccess(access: FarAccess): void {
    const before = this.#identity;
    this.#identity = before.next(access);
    try {
      this.#listener.renew();
    } catch (error) {
      this.#identity = before;
      throw error;
    }
    for (const [stream, { proved }] of this.#clients) {
      if (proved !== undefined && !this.#identity.stillCounts(proved)) stream.destroy();
    }
  }

  async stop(): Promise<void> {
    const stopped = this.#tunnels.stop();
    for (const stream of this.#clients.keys()) stream.destroy();
    await Promise.all([stopped, this.#listener.close()]);
    this.#http.close();
  }

  #makeHttp(): HttpServer {
    const server = createHttpServer({
      insecureHTTPParser: false,
      requireHostHeader: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      // It does not listen, so it checks no times: #handleSecure does.
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
    });
    server.on('connect', (request, stream, head) => this.#handleConnect(request, stream, head));
    server.on('upgrade', (request, stream, head) => this.#handleUpgrade(request, stream, head));
    server.on('request', (request, response) => {
      const text = answerText('this is the far end of a Weft: it takes CONNECT and connect-udp');
      this.#refusals.note(request.socket, 'not-implemented');
      response.writeHead(501, { ...answerFields(text), Connection: 'close' }).end(text);
    });
    server.on('clientError', (_error, stream) => {
      if (!this.#refusals.has(stream)) this.#refusals.note(stream, 'malformed');
      stream.destroy();
    });
    return server;
  }

  #handleSecure(stream: TLSSocket, address: string): void {
    const proved = this.#identity.ofHandshake(stream);
    if (proved === undefined && this.#identity.isByKey) {
      // A token that was taken back meanwhile. Keys that no token made are impossible, as far as anybody knows.
      stream.destroy();
      return;
    }
    const { handshakeTimeoutMs, waitTimeoutMs } = this.#limits;
    const timeoutMs = proved === undefined ? handshakeTimeoutMs : waitTimeoutMs;
    const waiting = setTimeout(() => stream.destroy(), timeoutMs);
    waiting.unref();
    this.#clients.set(stream, { proved, address, waiting });
    stream.once('close', () => {
      clearTimeout(waiting);
      this.#clients.delete(stream);
    });
    if (proved !== undefined) this.#listener.noteProved(stream);
    this.#http.emit('connection', stream);
  }

  /** The client's name, once it is known; otherwise it has been answered. */
  #nameOf(request: IncomingMessage, stream: Duplex): string | undefined {
    const client = this.#clients.get(stream);
    if (client === undefined || this.#refusals.has(stream)) {
      stream.destroy();
      return undefined;
    }
    clearTimeout(client.waiting);
    if (client.proved !== undefined) return client.proved.name;
    const proved = this.#identity.ofRequest(request.headers['proxy-authorization']);
    if (proved === undefined) {
      const isMissing = request.headers['proxy-authorization'] === undefined;
      if (!isMissing) this.#listener.noteWrongProof(client.address, 'token');
      const refusal: Refusal = isMissing ? 'user-missing' : 'user-wrong';
      this.#refusals.refuseWith(stream, refusal, 407, 'a token is needed, as the password', {
        'Proxy-Authenticate': 'Basic realm="weft"',
      });
      return undefined;
    }
    client.proved = proved;
    this.#listener.noteProved(stream as TLSSocket);
    return proved.name;
  }

  #handleConnect(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const name = this.#nameOf(request, stream);
    if (name === undefined) return;
    this.#tunnels.handleConnect({ request, stream: stream as TLSSocket, head, client: name });
  }

  #handleUpgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const name = this.#nameOf(request, stream);
    if (name === undefined) return;
    if (request.headers.upgrade?.toLowerCase() !== 'connect-udp' || request.method !== 'GET') {
      this.#refusals.refuse(stream, 'not-implemented', 501, 'only connect-udp is known here');
      return;
    }
    this.#tunnels.handleConnectUdp({ request, stream: stream as TLSSocket, head, client: name });
  }

  counters(): FarCounters {
    const { accepted, handshakesFailed, mptcp, openCount } = this.#listener;
    const { refusals, dialFailures, tunnelsOpened, bytesUp, bytesDown } = this.#tallies;
    return {
      connections: accepted,
      connectionsOpen: openCount,
      connectionsMptcp: mptcp,
      handshakesFailed,
      refused: refusals.total,
      refusedByReason: refusals.byKind(),
      tunnelsOpened,
      dialsFailed: dialFailures.total,
      dialsFailedByReason: dialFailures.byKind(),
      bytesUp,
      bytesDown,
      ...this.#tunnels.counts(),
    };
  }
}
