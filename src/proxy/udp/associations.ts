/**
 * All UDP associations of the proxy: makes them, bounds them, ends them with the connection that asked for them or
 * when they are idle.
 *
 * Invariant: an association is in `#open` from its making to its end, and its end closes its sockets.
 */
import type { Socket as DatagramSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { errorText, isIpv6, unmapV4, type Logger } from '../../base/index.ts';
import type { Access } from '../access.ts';
import type { Client } from '../client.ts';
import type { ProxyCounters, Refusal } from '../counters.ts';
import type { Dialer } from '../dialer/dialer.ts';
import type { PolicyHolder } from '../policy/policy-holder.ts';
import type { Socks5Destination } from '../socks/socks5.ts';
import type { UdpPath } from '../upstream/types.ts';
import { Association } from './association.ts';
import { DatagramTallies } from './datagram-tallies.ts';
import { Destinations } from './destinations.ts';
import { closeQuietly, DirectUdpPath, openDatagramSocket } from './direct-path.ts';

export interface UdpAssociationsOptions {
  readonly access: Access;
  readonly dialer: Pick<Dialer, 'route'>;
  readonly policy: PolicyHolder;
  /** Datagrams through an upstream proxy of the policy; throws when it carries none. */
  readonly openThrough: (upstream: string) => UdpPath;
  readonly logger: Logger;
  readonly maxAssociations: number;
  /** Without a datagram in either direction. */
  readonly idleTimeoutMs: number;
}

export interface AssociationRequest {
  /** The connection that asks; its end is the association's. */
  readonly socket: Socket;
  readonly client: Client;
  readonly announced: Socks5Destination;
}

/** Where the client is to send its datagrams, or why there is no such place. */
export type AssociationAnswer =
  | { readonly address: string; readonly port: number }
  | { readonly refusal: Refusal; readonly reason: string };

export class UdpAssociations {
  readonly #options: UdpAssociationsOptions;
  /** BOUNDED by `maxAssociations`. */
  readonly #open = new Map<Association, Socket>();
  #opening = 0;
  #stopped = false;
  readonly #tallies = new DatagramTallies();

  constructor(options: UdpAssociationsOptions) {
    this.#options = options;
  }

  async open(request: AssociationRequest): Promise<AssociationAnswer> {
    const { access, maxAssociations } = this.#options;
    const { socket, client } = request;
    if (this.#open.size + this.#opening >= maxAssociations) {
      return { refusal: 'too-many-tunnels', reason: `all ${maxAssociations} UDP associations are in use` };
    }
    const entry = access.clients.enterTunnel(client);
    if ('over' in entry) return { refusal: 'client-limit', reason: entry.over.reason };
    this.#opening++;
    let datagrams: DatagramSocket;
    try {
      datagrams = await bindWhere(socket);
    } catch (error) {
      entry.leave();
      return { refusal: 'accept-failed', reason: `no socket for datagrams: ${errorText(error)}` };
    } finally {
      this.#opening--;
    }
    if (socket.destroyed || this.#stopped) {
      entry.leave();
      closeQuietly(datagrams);
      return { refusal: 'accept-failed', reason: 'the client went away' };
    }
    this.#start(request, datagrams, entry.leave);
    const { address, port } = datagrams.address();
    return { address, port };
  }

  #start(
    { socket, client, announced }: AssociationRequest,
    datagrams: DatagramSocket,
    leave: () => void,
  ): void {
    const { dialer, policy, openThrough, idleTimeoutMs, logger } = this.#options;
    const idle = setTimeout(() => socket.destroy(), idleTimeoutMs);
    const association = new Association({
      client,
      announced,
      socket: datagrams,
      destinations: new Destinations({
        dialer,
        policy,
        client,
        nowMs: () => performance.now(),
      }),
      openPath: (upstream) => (upstream === undefined ? new DirectUdpPath() : openThrough(upstream)),
      generation: () => policy.generation,
      tallies: this.#tallies,
      onActivity: () => idle.refresh(),
    });
    this.#tallies.associations++;
    this.#open.set(association, socket);
    logger.debug({ client: client.text }, 'UDP association opened');
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      clearTimeout(idle);
      this.#open.delete(association);
      association.close();
      leave();
      logger.debug({ client: client.text }, 'UDP association closed');
    });
  }

  counters(): Pick<
    ProxyCounters,
    | 'udpAssociations'
    | 'udpAssociationsOpen'
    | 'datagramsUp'
    | 'datagramsDown'
    | 'datagramBytesUp'
    | 'datagramBytesDown'
    | 'datagramsDropped'
    | 'datagramsDroppedByReason'
  > {
    const { associations, up, down, bytesUp, bytesDown, drops } = this.#tallies;
    return {
      udpAssociations: associations,
      udpAssociationsOpen: this.#open.size,
      datagramsUp: up,
      datagramsDown: down,
      datagramBytesUp: bytesUp,
      datagramBytesDown: bytesDown,
      datagramsDropped: drops.total,
      datagramsDroppedByReason: drops.byKind(),
    };
  }

  /** Ends every association. */
  stop(): void {
    this.#stopped = true;
    for (const [association, socket] of this.#open) {
      association.close();
      socket.destroy();
    }
  }
}

/** A socket at the address that the client came to, so that it can reach it. */
function bindWhere(socket: Socket): Promise<DatagramSocket> {
  const address = unmapV4(socket.localAddress ?? '127.0.0.1');
  const datagrams = openDatagramSocket(isIpv6(address) ? 'udp6' : 'udp4');
  return new Promise((resolve, reject) => {
    datagrams.once('error', (error) => {
      closeQuietly(datagrams);
      reject(error);
    });
    datagrams.bind({ address, port: 0, exclusive: true }, () => {
      datagrams.removeAllListeners('error');
      resolve(datagrams);
    });
  });
}
