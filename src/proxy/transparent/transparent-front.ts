/**
 * The listening side for connections that were redirected here by a firewall rule of this host (redirect-table.ts):
 * asks the kernel where each was going, and makes it a tunnel there. Their programs know nothing of a proxy, so nothing
 * is said to them: no answer before the tunnel, and a reset where there is none.
 *
 * With links to serve it listens on every address, because a redirected connection comes to the address of the link it
 * came by; else on loopback only.
 *
 * Invariant: a connection that was not redirected is closed without a byte, so that nobody can use the front as a
 * proxy, and the front never dials itself.
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import {
  AF_INET,
  AF_INET6,
  canonicalIp,
  formatSocketAddress,
  unmapV4,
  WeftError,
  type Logger,
} from '../../base/index.ts';
import { originalDestinationOf, type SocketAddress } from '../../native/index.ts';
import { closeServers } from '../close-servers.ts';
import type { Client } from '../client.ts';
import type { ProxyTallies } from '../counters.ts';
import { setKeepalive } from '../keepalive.ts';
import type { ListenAddress } from '../options.ts';
import type { Tunnels } from '../tunnels.ts';
import type { RedirectPort } from './redirect-table.ts';

export interface TransparentFrontOptions {
  /** Connections of other hosts come too (by the named links). */
  readonly servesLinks: boolean;
  readonly tunnels: Tunnels;
  readonly tallies: ProxyTallies;
  readonly logger: Logger;
}

/** Reasons to do without one address family. */
const ABSENT_FAMILY: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);
const BACKLOG = 1024;
const NO_BYTES = Buffer.alloc(0);

export class TransparentFront {
  readonly #options: TransparentFrontOptions;
  /** One for each address family. */
  readonly #servers: Server[] = [];
  /** BOUNDED by the proxy's `maxTunnels`: every connection is a tunnel or closed at once; a tunnel's leaves. */
  readonly #sockets = new Set<Socket>();

  constructor(options: TransparentFrontOptions) {
    this.#options = options;
  }

  /** @throws WeftError when it can listen for neither address family */
  async start(): Promise<void> {
    const everywhere = this.#options.servesLinks;
    let failure: NodeJS.ErrnoException | undefined;
    for (const address of everywhere ? ['0.0.0.0', '::'] : ['127.0.0.1', '::1']) {
      try {
        await this.#listen(address);
      } catch (error) {
        failure = error as NodeJS.ErrnoException;
        if (!ABSENT_FAMILY.has(failure.code ?? '')) break;
      }
    }
    if (failure !== undefined && (this.#servers.length === 0 || !ABSENT_FAMILY.has(failure.code ?? ''))) {
      await this.close();
      throw new WeftError(`listen for redirected connections: ${failure.message}`, {
        code: failure.code ?? 'LISTEN',
        cause: failure,
      });
    }
  }

  async #listen(address: string): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: address, port: 0, ipv6Only: true, backlog: BACKLOG }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    const fd = (server as unknown as { _handle?: { fd?: number } })._handle?.fd;
    if (fd !== undefined && fd >= 0) setKeepalive(fd);
    // A failed accept concerns that one connection.
    server.on('error', () => this.#options.tallies.refusals.add('accept-failed'));
    this.#servers.push(server);
  }

  get addresses(): ListenAddress[] {
    return this.#servers.map((server) => {
      const { address, port } = server.address() as AddressInfo;
      return { address, port };
    });
  }

  /** For redirectTable. */
  get ports(): RedirectPort[] {
    return this.#servers.map((server) => {
      const { family, port } = server.address() as AddressInfo;
      return { family: family === 'IPv6' ? 'ipv6' : 'ipv4', port };
    });
  }

  #accept(socket: Socket): void {
    const { tunnels, tallies, logger } = this.#options;
    socket.on('error', () => socket.destroy());
    tallies.clientConnections++;
    const client = clientOfRedirected(socket);
    const destination = destinationOf(socket);
    if (typeof destination === 'string') {
      tallies.refusals.add(destination === NOT_REDIRECTED ? 'loop' : 'bad-target');
      logger.debug({ client: client.text }, destination);
      socket.resetAndDestroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // Reads ahead a little, so that a reset is noticed while the destination is dialled.
    socket.read(0);
    tunnels.open({
      kind: 'transparent',
      destination: { host: destination.address, port: destination.port },
      client,
      socket,
      head: NO_BYTES,
      established: undefined,
      // What a program would see that dialled in vain itself, as far as that can be had after the handshake.
      refuse: () => socket.resetAndDestroy(),
    });
  }

  /** Stops listening and destroys what is no tunnel yet; resolves when all is closed. */
  async close(): Promise<void> {
    await closeServers(this.#servers, this.#sockets);
    this.#servers.length = 0;
  }
}

const NOT_REDIRECTED = 'refused a connection to the transparent front itself';
const UNKNOWN_DESTINATION = 'the kernel does not know where a redirected connection was going';

/** Where it was going, or why it cannot be served. */
function destinationOf(socket: Socket): SocketAddress | string {
  const { localAddress, localFamily, localPort } = socket;
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0 || localAddress === undefined) return UNKNOWN_DESTINATION;
  const original = originalDestinationOf(fd, localFamily === 'IPv6' ? AF_INET6 : AF_INET);
  if (original === undefined || original.port === 0) return UNKNOWN_DESTINATION;
  const isOwn = original.port === localPort && original.address === canonicalIp(localAddress);
  return isOwn ? NOT_REDIRECTED : original;
}

/**
 * Redirected connections of this host's own programs arrive on the loopback address, whatever their source; those of
 * others on the address of the link that they came by. For rules and limits this host is one client, known by its
 * loopback address as it is when it names the proxy.
 */
function clientOfRedirected(socket: Socket): Client {
  const told = unmapV4(socket.remoteAddress ?? '0.0.0.0');
  const address = canonicalIp(told) ?? told;
  const text = formatSocketAddress(address, socket.remotePort ?? 0);
  const { localAddress } = socket;
  return localAddress === '127.0.0.1' || localAddress === '::1'
    ? { address: localAddress, text, remote: false }
    : { address, text, remote: true };
}
