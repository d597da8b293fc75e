/**
 * The listening side: one http.Server for each address. A connection's first byte says whether it is SOCKS
 * (socks/socks-server.ts); all others go to the server's strict parser (llhttp). What the parser lets through and a
 * proxy must not is refused in http/fields.ts and http/connect.ts.
 *
 * Invariant: every client socket that Node owns is in `#sockets`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { closeServers } from './close-servers.ts';
import { formatSocketAddress, WeftError } from '../base/index.ts';
import { setSocketOption, SO_BINDTODEVICE, SOL_SOCKET } from '../native/index.ts';
import type { Access } from './access.ts';
import { clientOf } from './client.ts';
import type { ProxyTallies } from './counters.ts';
import { whenFirstByte } from './first-byte.ts';
import { setKeepalive } from './keepalive.ts';
import type { ListenAddress, ProxyLimits } from './options.ts';
import type { Refusals } from './http/refusals.ts';
import { SOCKS4_VERSION } from './socks/socks4.ts';
import { SOCKS5_VERSION } from './socks/socks5.ts';

export interface FrontHandlers {
  readonly request: (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => void;
  readonly connect: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** `version` is the connection's first byte, which is still in it. */
  readonly socks: (socket: Socket, version: number) => void;
}

export interface FrontOptions {
  readonly allowRemote: boolean;
  readonly limits: ProxyLimits;
  readonly access: Access;
  readonly tallies: ProxyTallies;
  readonly refusals: Refusals;
  readonly handlers: FrontHandlers;
}

/** Slow headers are looked for this often at least. */
const MAX_CHECK_INTERVAL_MS = 2000;

export class Front {
  readonly #options: FrontOptions;
  readonly #servers: Server[] = [];
  /** BOUNDED by `maxClientConnections`; a tunnel's socket leaves at its handover. */
  readonly #sockets = new Set<Socket>();

  constructor(options: FrontOptions) {
    this.#options = options;
  }

  get addresses(): ListenAddress[] {
    return this.#servers.map((server) => {
      const { address, port } = server.address() as AddressInfo;
      return { address, port };
    });
  }

  /** @throws WeftError EADDRINUSE, EACCES, EADDRNOTAVAIL …, naming address and port */
  async listen({ address, link, port }: ListenAddress): Promise<void> {
    const server = this.#makeServer();
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: address, port, ipv6Only: true, backlog: 1024 }, () => {
          server.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      throw listenError(address, port, error as NodeJS.ErrnoException);
    }
    this.#servers.push(server);
    const fd = (server as unknown as { _handle?: { fd?: number } })._handle?.fd;
    if (fd !== undefined && fd >= 0) {
      setKeepalive(fd);
      // The kernel asks for it at each new connection, so it need not be set before listening.
      if (link !== undefined) bindToLink(fd, link);
    }
    // A failed accept (no memory, a local policy) concerns that one connection.
    server.on('error', () => this.#options.tallies.refusals.add('accept-failed'));
  }

  #makeServer(): Server {
    const { limits, refusals, handlers } = this.#options;
    const server = createServer({
      insecureHTTPParser: false,
      // Checked by us, with a reason in the answer.
      requireHostHeader: false,
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      // Bodies may take as long as they move; exchanges have their own time limit.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(MAX_CHECK_INTERVAL_MS, Math.ceil(limits.headersTimeoutMs / 4)),
      noDelay: true,
    });
    // Whatever a live exchange waits for ends sooner, also with a second try: only a client that takes nothing of
    // its answers gets here.
    server.timeout = 2 * (limits.connectTimeoutMs + limits.exchangeIdleTimeoutMs);
    // 0: all fields are seen. Their bytes are bounded by maxHeaderBytes; a dropped one could change the meaning.
    server.maxHeadersCount = 0;
    // Node's own listener is called for the connections that speak HTTP.
    const serveHttp = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    server.on('connection', (socket) => {
      this.#handleConnection(socket, () => {
        for (const serve of serveHttp) serve.call(server, socket);
      });
    });
    const serve = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => {
      if (!refusals.has(request.socket)) handlers.request(request, response, expectsContinue);
    };
    server.on('request', (request, response) => serve(request, response, false));
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      serve(request, response, true);
    });
    server.on('connect', (request, socket, head) => {
      if (!refusals.has(socket)) handlers.connect(request, socket, head);
    });
    server.on('clientError', (error, socket) => this.#handleClientError(error, socket));
    return server;
  }

  #handleConnection(socket: Socket, serveHttp: () => void): void {
    const { allowRemote, limits, access, tallies, refusals, handlers } = this.#options;
    tallies.clientConnections++;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const client = clientOf(socket);
    if (!allowRemote && client.remote) {
      refuseUnread(() => {
        refusals.refuse(socket, 'not-allowed', 403, 'only programs on this host may use this proxy');
      });
      return;
    }
    if (this.#sockets.size > limits.maxClientConnections) {
      refusals.note(socket, 'too-many-connections');
      socket.destroy();
      return;
    }
    const entry = access.clients.enterConnection(client.address);
    if ('over' in entry) {
      refuseUnread(() => refusals.refuse(socket, 'client-limit', entry.over.status, entry.over.reason));
      return;
    }
    socket.once('close', entry.leave);
    whenFirstByte(
      socket,
      limits.headersTimeoutMs,
      (byte) => {
        if (byte === SOCKS5_VERSION || byte === SOCKS4_VERSION) handlers.socks(socket, byte);
        else serveHttp();
      },
      () => refuseUnread(() => this.#refuseLate(socket)),
    );

    /** Nobody else listens for errors of a connection that no protocol has. */
    function refuseUnread(refuse: () => void): void {
      socket.on('error', () => socket.destroy());
      refuse();
    }
  }

  #refuseLate(socket: Duplex): void {
    const { refusals, limits } = this.#options;
    const reason = `no whole request came within ${limits.headersTimeoutMs / 1000} s`;
    refusals.refuse(socket, 'header-timeout', 408, reason);
  }

  #handleClientError(error: NodeJS.ErrnoException & { reason?: string }, socket: Duplex): void {
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE' || socket.destroyed) {
      socket.destroy();
      return;
    }
    const { refusals, limits } = this.#options;
    // What follows a refused message is malformed too, most likely, and was answered already.
    if (refusals.has(socket)) return;
    switch (error.code) {
      case 'HPE_HEADER_OVERFLOW': {
        const reason = `the request's header is larger than ${limits.maxHeaderBytes} bytes`;
        refusals.refuse(socket, 'header-too-large', 431, reason);
        break;
      }
      case 'ERR_HTTP_REQUEST_TIMEOUT':
        this.#refuseLate(socket);
        break;
      default: {
        const reason = `this is not a proper HTTP/1.1 request: ${error.reason ?? error.message}`;
        refusals.refuse(socket, 'malformed', 400, reason);
      }
    }
  }

  /** Stops listening and destroys every client socket; resolves when all are closed. */
  async close(): Promise<void> {
    await closeServers(this.#servers, this.#sockets);
    this.#servers.length = 0;
  }
}

function bindToLink(fd: number, link: string): void {
  setSocketOption(fd, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode(`${link}\0`));
}

function listenError(address: string, port: number, cause: NodeJS.ErrnoException): WeftError {
  const code = cause.code ?? 'LISTEN';
  const [why, hint] = LISTEN_PROBLEMS[code] ?? [cause.message, undefined];
  return new WeftError(`listen on ${formatSocketAddress(address, port)}: ${why} (${code})`, {
    code,
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

const LISTEN_PROBLEMS: Readonly<Record<string, readonly [why: string, hint: string | undefined]>> = {
  EADDRINUSE: ['another program listens there', 'stop it, or choose another port'],
  EADDRNOTAVAIL: ['this host has no such address', undefined],
  EAFNOSUPPORT: ['this host has no such address family', undefined],
  EACCES: ['not permitted', 'choose a port from 1024 on'],
};
