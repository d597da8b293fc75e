/**
 * The far end's front: MPTCP listeners, TLS on what they accept, and who may even try.
 *
 *   accept → address not slowed, room left → handshake in time → who is it → `onSecure`
 *
 * Who fails is told nothing but TLS's alert, is counted, and may fail only so often: an address (IPv6: its /64) has
 * FAILURE_BURST failures, and then one each few seconds; meanwhile its connections are closed unread.
 *
 * Invariant: every accepted socket is in `#sockets` until it has closed.
 */
import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { formatSocketAddress, isIpv6, networkOf, unmapV4, WeftError } from '../../base/index.ts';
import { createServer, describeSocket, fdOf } from '../../mptcp/index.ts';
import { closeServers } from '../close-servers.ts';
import type { ProxyTallies } from '../counters.ts';
import { setKeepalive } from '../keepalive.ts';
import type { ListenAddress } from '../options.ts';
import { RateTable } from '../rate-table.ts';
import { resetOnDestroy } from '../upstream/reset-on-destroy.ts';
import { TLS_HIGH_WATER_BYTES } from '../upstream/tls-settings.ts';
import type { FarIdentity } from './far-identity.ts';
import type { FarLimits } from './far-options.ts';

const FAILURE_BURST = 10;
const FAILURES_PER_SECOND = 0.2;
const MAX_KNOWN_ADDRESSES = 10_000;
const BACKLOG = 1024;

export interface FarListenerOptions {
  readonly multipath: boolean;
  readonly limits: FarLimits;
  readonly tallies: ProxyTallies;
  readonly identity: () => FarIdentity;
  /** A connection whose handshake is done. */
  readonly onSecure: (stream: TLSSocket, address: string) => void;
  readonly onFailure: (address: string, reason: string) => void;
}

/** The same for a connection's socket and the TLS stream on it. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** What is counted together: a network that one client has whole. */
function sourceOf(address: string): string {
  return isIpv6(address) ? networkOf(address, 64) : address;
}

export class FarListener {
  readonly #options: FarListenerOptions;
  readonly #servers: Server[] = [];
  #tls: TlsServer;
  /** BOUNDED by `maxConnections`. */
  readonly #sockets = new Set<Socket>();
  /** Without a proof yet. BOUNDED by `maxHandshakes`. */
  readonly #unproved = new Map<string, Socket>();
  readonly #failures = new RateTable({
    burst: FAILURE_BURST,
    perSecond: FAILURES_PER_SECOND,
    maxKeys: MAX_KNOWN_ADDRESSES,
  });
  accepted = 0;
  handshakesFailed = 0;
  mptcp = 0;

  /** @throws the errors of OpenSSL for a certificate or key that is none */
  constructor(options: FarListenerOptions) {
    this.#options = options;
    this.#tls = this.#makeTls();
  }

  get addresses(): ListenAddress[] {
    return this.#servers.map((server) => {
      const { address, port } = server.address() as { address: string; port: number };
      return { address, port };
    });
  }

  get openCount(): number {
    return this.#sockets.size;
  }

  /** New connections meet the settings of now. @throws as the constructor; the old settings stay in force then */
  renew(): void {
    this.#tls = this.#makeTls();
  }

  /** @throws WeftError EADDRINUSE, EACCES, EADDRNOTAVAIL … naming address and port */
  async listen({ address, port }: ListenAddress): Promise<'mptcp' | 'tcp'> {
    const { multipath } = this.#options;
    try {
      const server = await createServer(
        {
          // `::` is every address, where there is no IPv6 those of IPv4; any other is just itself.
          ...(address === '::' ? {} : { host: address, ipv6Only: true }),
          port,
          multipath,
          backlog: BACKLOG,
          allowHalfOpen: true,
          noDelay: true,
          highWaterMark: TLS_HIGH_WATER_BYTES,
        },
        (socket) => this.#handleConnection(socket),
      );
      setKeepalive(fdOf(server as unknown as Socket));
      server.on('error', () => this.#options.tallies.refusals.add('accept-failed'));
      this.#servers.push(server);
      return server.multipath.protocol;
    } catch (error) {
      const { code = 'LISTEN', message } = error as NodeJS.ErrnoException;
      const hint = code === 'EADDRINUSE' ? { hint: 'stop the other program, or choose another port' } : {};
      throw new WeftError(`listen on ${formatSocketAddress(address, port)}: ${message}`, {
        code,
        cause: error,
        ...hint,
      });
    }
  }

  #makeTls(): TlsServer {
    const { identity, limits } = this.#options;
    const settings = identity();
    const server = createTlsServer({
      ...settings.tlsOptions(),
      handshakeTimeout: limits.handshakeTimeoutMs,
      // The identity of the moment: a token that was taken back is not taken any more.
      ...(settings.isByKey
        ? { pskCallback: (socket: TLSSocket, name: string) => identity().keyFor(socket, name) }
        : {}),
    });
    server.on('secureConnection', (stream) => this.#handleSecure(stream));
    server.on('tlsClientError', (error: NodeJS.ErrnoException, stream) => {
      this.#noteFailure(stream, error.code ?? 'handshake');
      stream.destroy();
    });
    return server;
  }

  #handleConnection(socket: Socket): void {
    const { limits, tallies } = this.#options;
    this.accepted++;
    const address = unmapV4(socket.remoteAddress ?? '::');
    // Between accept and here it may have gone.
    socket.on('error', () => {});
    if (this.#sockets.size >= limits.maxConnections || this.#unproved.size >= limits.maxHandshakes) {
      tallies.refusals.add('too-many-connections');
      socket.destroy();
      return;
    }
    if (this.#failures.waitMs(sourceOf(address), performance.now()) > 0) {
      tallies.refusals.add('slowed');
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const ends = endsOf(socket);
    this.#unproved.set(ends, socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#unproved.get(ends) === socket) this.#unproved.delete(ends);
    });
    this.#tls.emit('connection', socket);
  }

  #handleSecure(stream: TLSSocket): void {
    resetOnDestroy(stream);
    stream.on('error', () => stream.destroy());
    const address = unmapV4(stream.remoteAddress ?? '::');
    try {
      if (describeSocket(stream).protocol === 'mptcp') this.mptcp++;
    } catch {
      // It has gone already; what follows will find out.
    }
    this.#options.onSecure(stream, address);
  }

  /** The connection's client has proved who it is. */
  noteProved(stream: TLSSocket): void {
    this.#unproved.delete(endsOf(stream));
  }

  /** The connection's client could not prove who it is. */
  #noteFailure(stream: TLSSocket, reason: string): void {
    this.handshakesFailed++;
    const address = unmapV4(stream.remoteAddress ?? '::');
    this.noteWrongProof(address, reason);
  }

  noteWrongProof(address: string, reason: string): void {
    this.#failures.spend(sourceOf(address), performance.now());
    this.#options.onFailure(address, reason);
  }

  /** Stops listening and destroys every connection; resolves when all are closed. */
  close(): Promise<void> {
    return closeServers(this.#servers, this.#sockets);
  }
}
