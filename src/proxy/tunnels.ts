/**
 * Tunnels, whichever protocol asked for them (CONNECT, SOCKS, transparent): dials by the policy, says "established"
 * in the words of that protocol, and carries the bytes. What ends in a socket goes to the relay thread with both
 * descriptors, so that no tunnelled byte passes through Node's streams, except what came before the handover; what
 * ends in a stream (TLS) is carried here (stream-tunnels.ts).
 *
 * The handover happens within one turn of the event loop: take what Node has read → duplicate the descriptor →
 * answer → destroy Node's socket (which closes its descriptor without shutting the connection down) → relay.
 *
 * Invariant: every descriptor has one owner: Node until the handover, the relay after it.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import { errorText, formatSocketAddress, type Logger } from '../base/index.ts';
import {
  abortConnection,
  closeFd,
  duplicateFd,
  IPPROTO_TCP,
  libc,
  MSG_NOSIGNAL,
  TCP_NODELAY,
  trySetIntOption,
} from '../native/index.ts';
import type { LimitedClients } from './client-limits.ts';
import type { Client } from './client.ts';
import type { ConnectionKind, ProxyConnection, ProxyTallies } from './counters.ts';
import { DialError, type DialFailure } from './dialer/dial-error.ts';
import type { Dialer } from './dialer/dialer.ts';
import {
  closeUpstream,
  fallbackInodeOf,
  tokenOf,
  type SocketUpstream,
  type StreamUpstream,
  type Upstream,
} from './dialer/upstream.ts';
import { setKeepalive } from './keepalive.ts';
import type { ProxyLimits } from './options.ts';
import type { Destination } from './policy/types.ts';
import type { TunnelEnd } from './relay/relay-thread.ts';
import { RelayThreadHolder } from './relay-holder.ts';
import { StreamTunnels } from './stream-tunnels.ts';

/** BOUNDED: what Node holds of each direction of a stream tunnel. */
const STREAM_HIGH_WATER_BYTES = 256 * 1024;

/** Why there is no tunnel. */
export interface TunnelFailure {
  readonly kind: DialFailure | 'too-many-tunnels' | 'client-limit' | 'not-set-up';
  /** The HTTP status that says the same. */
  readonly status: number;
  /** A sentence for the client, without secrets. */
  readonly reason: string;
}

/** One client's wish for a tunnel, with the protocol's own part as data and one callback. */
export interface TunnelRequest {
  readonly kind: Exclude<ConnectionKind, 'http'>;
  readonly destination: Destination;
  readonly client: Client;
  /** The tunnel's from now on; errors on it are handled here. */
  readonly socket: Socket;
  /** What the client has sent after its request, and was read already. */
  readonly head: Buffer;
  /** What tells the client that the tunnel is there; `undefined`: nothing does. */
  readonly established: Buffer | undefined;
  /** Answers and closes the socket. Called at most once, and not when the client has gone. */
  readonly refuse: (failure: TunnelFailure) => void;
}

interface OpenTunnel {
  readonly kind: TunnelRequest['kind'];
  readonly client: string;
  readonly user?: string;
  readonly target: string;
  readonly remote: string;
  readonly protocol: 'mptcp' | 'tcp';
  readonly fallbackReason?: string;
  readonly via?: string;
  readonly token?: number;
  readonly inode?: number;
  readonly openedAtMs: number;
  /** The client may have another one; set when it is all there. */
  leave?: () => void;
}

export interface TunnelsOptions {
  readonly dialer: Dialer;
  /** What each client may have of them. */
  readonly clients: LimitedClients;
  readonly tallies: ProxyTallies;
  readonly limits: ProxyLimits;
  readonly logger: Logger;
  readonly nextId: () => number;
}

export class Tunnels {
  readonly #options: TunnelsOptions;
  readonly #relay: RelayThreadHolder;
  readonly #streams: StreamTunnels;
  /** BOUNDED by `maxTunnels`, with `#dialing`. */
  readonly #open = new Map<number, OpenTunnel>();
  #dialing = 0;
  #stopped = false;

  constructor(options: TunnelsOptions) {
    this.#options = options;
    const { limits, logger } = options;
    const onClosed = (end: TunnelEnd) => this.#handleEnd(end);
    this.#relay = new RelayThreadHolder({ limits, logger, onClosed });
    this.#streams = new StreamTunnels({
      idleTimeoutMs: limits.tunnelIdleTimeoutMs,
      halfClosedIdleTimeoutMs: limits.halfClosedTimeoutMs,
      onClosed,
    });
  }

  /** Starts the relay's thread. Rejects with WeftError NO_WORKER when its program was not built. */
  async start(): Promise<void> {
    await this.#relay.start().ready;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Takes the client's socket over and makes the tunnel, or has it refused. */
  open(request: TunnelRequest): void {
    const { socket, refuse } = request;
    // A socket without this listener would end the process at the first reset.
    socket.on('error', () => socket.destroy());
    const { maxTunnels } = this.#options.limits;
    if (this.#open.size + this.#dialing >= maxTunnels) {
      this.#options.tallies.refusals.add('too-many-tunnels');
      refuse({ kind: 'too-many-tunnels', status: 503, reason: `all ${maxTunnels} tunnels are in use` });
      return;
    }
    const entry = this.#options.clients.enterTunnel(request.client);
    if ('over' in entry) {
      this.#options.tallies.refusals.add('client-limit');
      refuse({ kind: 'client-limit', ...entry.over });
      return;
    }
    void this.#connect(request).then((id) => {
      const tunnel = id === undefined ? undefined : this.#open.get(id);
      if (tunnel === undefined) entry.leave();
      else tunnel.leave = entry.leave;
    });
  }

  /** Resolves with the tunnel's id, or `undefined` when there is none. */
  async #connect(request: TunnelRequest): Promise<number | undefined> {
    const { destination, socket, client } = request;
    const { dialer, tallies, logger } = this.#options;
    const target = formatSocketAddress(destination.host, destination.port);
    const dialing = dialer.dial({ ...destination, client });
    socket.once('close', dialing.abort);
    this.#dialing++;
    let upstream: Upstream;
    try {
      upstream = await dialing.result;
    } catch (error) {
      const { failure, status } =
        error instanceof DialError ? error : ({ failure: 'other', status: 502 } as const);
      tallies.dialFailures.add(failure);
      logger.debug({ client: client.text, target, failure }, errorText(error));
      if (!socket.destroyed) request.refuse({ kind: failure, status, reason: errorText(error) });
      return undefined;
    } finally {
      this.#dialing--;
      socket.off('close', dialing.abort);
    }
    if (socket.destroyed) {
      closeUpstream(upstream);
      tallies.dialFailures.add('aborted');
      return undefined;
    }
    try {
      if (this.#stopped) throw new Error('the proxy is stopping');
      return upstream.kind === 'socket'
        ? this.#handOver(request, target, upstream)
        : this.#carry(request, target, upstream);
    } catch (error) {
      closeUpstream(upstream);
      logger.warn({ client: client.text, target }, `tunnel could not be set up: ${errorText(error)}`);
      const reason = `the tunnel could not be set up: ${errorText(error)}`;
      request.refuse({ kind: 'not-set-up', status: 503, reason });
      return undefined;
    }
  }

  /** Throws before anything is taken over, or not at all. */
  #handOver(request: TunnelRequest, target: string, upstream: SocketUpstream): number | undefined {
    const { socket, established } = request;
    const relay = this.#relay.start();
    const clientFd = duplicateFd(fdOf(socket));
    const toUpstream = takeBuffered(socket, request.head);
    const answered =
      established === undefined ||
      libc.send(clientFd, established, established.length, MSG_NOSIGNAL) === established.length;
    socket.destroy();
    if (!answered) {
      // The client has gone: a live connection has room for a few bytes.
      this.#options.tallies.tunnelEnds.add('client-gone');
      abortConnection(clientFd);
      closeFd(clientFd);
      closeFd(upstream.fd);
      return undefined;
    }
    prepareUpstream(upstream.fd);
    const id = this.#register(request, target, upstream);
    relay.open({
      id,
      clientFd,
      upstreamFd: upstream.fd,
      splice: upstream.descriptorProtocol === 'tcp',
      toUpstream,
      ...(upstream.ahead === undefined ? {} : { toClient: upstream.ahead }),
    });
    return id;
  }

  #carry(request: TunnelRequest, target: string, upstream: StreamUpstream): number {
    const { socket, established } = request;
    const client = this.#takeFromFront(socket);
    const head = takeBuffered(socket, request.head) ?? new Uint8Array(0);
    socket.destroy();
    if (established !== undefined) client.write(established);
    const id = this.#register(request, target, upstream);
    this.#streams.open({ id, client, upstream: upstream.stream, head });
    return id;
  }

  /** The same connection as a socket of our own: with room for bulk, and no client of the front any more. */
  #takeFromFront(socket: Socket): Socket {
    const fd = duplicateFd(fdOf(socket));
    try {
      // Known to Node, not to its types.
      const options: SocketConstructorOpts & { readonly highWaterMark: number } = {
        fd,
        readable: true,
        writable: true,
        allowHalfOpen: true,
        highWaterMark: STREAM_HIGH_WATER_BYTES,
      };
      const client = new Socket(options);
      client.on('error', () => client.destroy());
      return client;
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  #register({ kind, client }: TunnelRequest, target: string, upstream: Upstream): number {
    const { tallies, logger, nextId } = this.#options;
    const { protocol, fallbackReason, via } = upstream;
    const id = nextId();
    const token = tokenOf(upstream);
    const inode = fallbackInodeOf(upstream);
    tallies.tunnelsOpened++;
    tallies.addUpstream(protocol, fallbackReason);
    const remote = formatSocketAddress(upstream.address, upstream.port);
    this.#open.set(id, {
      kind,
      client: client.text,
      ...(client.user === undefined ? {} : { user: client.user }),
      target,
      remote,
      protocol,
      ...(fallbackReason === undefined ? {} : { fallbackReason }),
      ...(via === undefined ? {} : { via }),
      ...(token === undefined ? {} : { token }),
      ...(inode === undefined ? {} : { inode }),
      openedAtMs: Date.now(),
    });
    logger.debug({ id, client: client.text, target, remote, protocol, fallbackReason, via }, 'tunnel opened');
    return id;
  }

  #handleEnd(end: TunnelEnd): void {
    const tunnel = this.#open.get(end.id);
    this.#open.delete(end.id);
    tunnel?.leave?.();
    const { tallies, logger } = this.#options;
    tallies.tunnelEnds.add(end.reason);
    tallies.bytesUp += end.bytesUp;
    tallies.bytesDown += end.bytesDown;
    logger.debug({ ...end, target: tunnel?.target }, 'tunnel closed');
  }

  connections(): ProxyConnection[] {
    const list: ProxyConnection[] = [];
    for (const [id, { leave: _leave, ...tunnel }] of this.#open) {
      const bytes = this.#streams.bytesOf(id) ?? this.#relay.bytesOf(id);
      list.push({ id, ...tunnel, bytesUp: bytes.up, bytesDown: bytes.down });
    }
    return list;
  }

  /**
   * Resets every tunnel; resolves when all descriptors are closed and the thread has ended. Tunnels being set up
   * end with their client sockets, which the server destroys.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([this.#streams.stop(), this.#relay.stop()]);
  }
}

function fdOf(socket: Socket): number {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) throw new Error('the client has gone');
  return fd;
}

/** Everything that Node has read and nobody has taken. */
function takeBuffered(socket: Socket, head: Buffer): Uint8Array | undefined {
  const chunks: Buffer[] = head.length > 0 ? [head] : [];
  for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
    chunks.push(chunk);
  }
  return chunks.length === 0 ? undefined : new Uint8Array(Buffer.concat(chunks));
}

/** The client's descriptor has the same from its listening socket (front.ts). */
function prepareUpstream(fd: number): void {
  trySetIntOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setKeepalive(fd);
}
