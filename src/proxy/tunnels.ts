/**
 * CONNECT: dials, answers, and hands both descriptors to the relay thread. No tunnelled byte passes through Node's
 * streams, except what the client sent before the answer.
 *
 * The handover happens within one turn of the event loop: take what Node has read → duplicate the descriptor →
 * answer 200 → destroy Node's socket (which closes its descriptor without shutting the connection down) → relay.
 *
 * Invariant: every descriptor has one owner: Node until the handover, the relay after it.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { errorText, formatSocketAddress, type Logger } from '../base/index.ts';
import { readMptcpInfo } from '../mptcp/index.ts';
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
import { clientOf, type Client } from './client.ts';
import type { ProxyConnection, ProxyTallies, Refusal } from './counters.ts';
import { DialError } from './dialer/dial-error.ts';
import type { Dialer, Upstream } from './dialer/dialer.ts';
import { hasTooManyFields, isBadFraming, requestBody } from './http/fields.ts';
import { answerUnderWay, type Refusals } from './http/refusals.ts';
import { isMalformed, parseAuthority, type Authority } from './http/target.ts';
import { setKeepalive } from './keepalive.ts';
import { RelayThread, type TunnelEnd } from './relay/relay-thread.ts';
import type { ProxyLimits } from './options.ts';

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n');

interface OpenTunnel {
  readonly client: string;
  readonly target: string;
  readonly remote: string;
  readonly protocol: 'mptcp' | 'tcp';
  readonly fallbackReason?: string;
  readonly token?: number;
  readonly openedAtMs: number;
}

export interface TunnelsOptions {
  readonly dialer: Dialer;
  readonly tallies: ProxyTallies;
  readonly refusals: Refusals;
  readonly limits: ProxyLimits;
  readonly logger: Logger;
  readonly nextId: () => number;
}

export class Tunnels {
  readonly #options: TunnelsOptions;
  readonly #relay: RelayThreadHolder;
  /** BOUNDED by `maxTunnels`, with `#dialing`. */
  readonly #open = new Map<number, OpenTunnel>();
  #dialing = 0;
  #stopped = false;

  constructor(options: TunnelsOptions) {
    this.#options = options;
    this.#relay = new RelayThreadHolder(options, (end) => this.#handleEnd(end));
  }

  /** Starts the relay's thread. Rejects with WeftError NO_WORKER when its program was not built. */
  async start(): Promise<void> {
    await this.#relay.start().ready;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Takes the socket of a CONNECT request over; `head` is what the client sent after the request. */
  handleConnect(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const socket = stream as Socket;
    // A socket without this listener would end the process at the first reset.
    socket.on('error', () => socket.destroy());
    const client = clientOf(socket);
    const authority = parseAuthority(request.url ?? '');
    const problem = this.#problemOf(request, socket, authority);
    if (problem !== undefined) {
      const [status, refusal, reason] = problem;
      this.#options.refusals.refuse(socket, refusal, status, reason);
    } else if (!isMalformed(authority)) {
      void this.#connect(authority, socket, client, head);
    }
  }

  #problemOf(
    request: IncomingMessage,
    socket: Socket,
    authority: ReturnType<typeof parseAuthority>,
  ): readonly [status: number, refusal: Refusal, reason: string] | undefined {
    const body = requestBody(request.rawHeaders, request.httpVersion);
    if (request.httpVersion !== '1.1' && request.httpVersion !== '1.0') {
      return [505, 'malformed', `HTTP/${request.httpVersion} is not spoken here`];
    }
    if (hasTooManyFields(request.rawHeaders)) return [431, 'header-too-large', 'too many header fields'];
    if (isBadFraming(body)) return [400, 'malformed', `refused a request with ${body.reason}`];
    if (body.kind !== 'none' && !(body.kind === 'length' && Number(body.length) === 0)) {
      return [400, 'malformed', 'refused a CONNECT request with a body'];
    }
    // Answers to earlier requests of this connection are still on their way.
    if (socket.writableLength > 0 || answerUnderWay(socket) !== undefined) {
      return [400, 'malformed', 'refused a CONNECT request before the end of earlier ones'];
    }
    if (isMalformed(authority)) return [400, 'bad-target', authority.reason];
    if (this.#open.size + this.#dialing >= this.#options.limits.maxTunnels) {
      return [503, 'too-many-tunnels', `all ${this.#options.limits.maxTunnels} tunnels are in use`];
    }
    return undefined;
  }

  async #connect(authority: Authority, socket: Socket, client: Client, head: Buffer): Promise<void> {
    const { host, port } = authority;
    const { dialer, tallies, refusals, logger } = this.#options;
    const target = formatSocketAddress(host, port);
    const dialing = dialer.dial({ host, port, forRemoteClient: client.remote });
    socket.once('close', dialing.abort);
    this.#dialing++;
    let upstream: Upstream;
    try {
      upstream = await dialing.result;
    } catch (error) {
      const failure = error instanceof DialError ? error.failure : 'other';
      tallies.dialFailures.add(failure);
      logger.debug({ client: client.text, target, failure }, errorText(error));
      refusals.answerAndClose(socket, error instanceof DialError ? error.status : 502, errorText(error));
      return;
    } finally {
      this.#dialing--;
      socket.off('close', dialing.abort);
    }
    if (socket.destroyed) {
      closeFd(upstream.fd);
      tallies.dialFailures.add('aborted');
      return;
    }
    try {
      if (this.#stopped) throw new Error('the proxy is stopping');
      this.#handOver(socket, upstream, client, target, port, head);
    } catch (error) {
      closeFd(upstream.fd);
      logger.warn({ client: client.text, target }, `tunnel could not be set up: ${errorText(error)}`);
      refusals.answerAndClose(socket, 503, `the tunnel could not be set up: ${errorText(error)}`);
    }
  }

  /** Throws before anything is taken over, or not at all. */
  #handOver(
    socket: Socket,
    upstream: Upstream,
    client: Client,
    target: string,
    port: number,
    head: Buffer,
  ): void {
    const { tallies, logger, nextId } = this.#options;
    const relay = this.#relay.start();
    const clientFd = duplicateFd(fdOf(socket));
    const toUpstream = takeBuffered(socket, head);
    const answered =
      libc.send(clientFd, ESTABLISHED, ESTABLISHED.length, MSG_NOSIGNAL) === ESTABLISHED.length;
    socket.destroy();
    if (!answered) {
      // The client has gone: a live connection has room for 39 bytes.
      tallies.tunnelEnds.add('client-gone');
      abortConnection(clientFd);
      closeFd(clientFd);
      closeFd(upstream.fd);
      return;
    }
    prepareUpstream(upstream.fd);
    const { protocol, descriptorProtocol, fallbackReason } = upstream;
    const id = nextId();
    const token = protocol === 'mptcp' ? readMptcpInfo(upstream.fd)?.token : undefined;
    tallies.tunnelsOpened++;
    tallies.addUpstream(protocol, fallbackReason);
    const remote = formatSocketAddress(upstream.address, port);
    this.#open.set(id, {
      client: client.text,
      target,
      remote,
      protocol,
      ...(fallbackReason === undefined ? {} : { fallbackReason }),
      ...(token === undefined ? {} : { token }),
      openedAtMs: Date.now(),
    });
    const splice = descriptorProtocol === 'tcp';
    relay.open({ id, clientFd, upstreamFd: upstream.fd, splice, toUpstream });
    logger.debug({ id, client: client.text, target, remote, protocol, fallbackReason }, 'tunnel opened');
  }

  #handleEnd(end: TunnelEnd): void {
    const tunnel = this.#open.get(end.id);
    this.#open.delete(end.id);
    const { tallies, logger } = this.#options;
    tallies.tunnelEnds.add(end.reason);
    tallies.bytesUp += end.bytesUp;
    tallies.bytesDown += end.bytesDown;
    logger.debug({ ...end, target: tunnel?.target }, 'tunnel closed');
  }

  connections(): ProxyConnection[] {
    const list: ProxyConnection[] = [];
    for (const [id, tunnel] of this.#open) {
      const bytes = this.#relay.bytesOf(id);
      list.push({ id, kind: 'connect', ...tunnel, bytesUp: bytes.up, bytesDown: bytes.down });
    }
    return list;
  }

  /**
   * Resets every tunnel; resolves when all descriptors are closed and the thread has ended. Tunnels being set up
   * end with their client sockets, which the server destroys.
   */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#relay.stop();
  }
}

/** The relay thread, made anew at the next tunnel after it has failed. */
class RelayThreadHolder {
  readonly #options: TunnelsOptions;
  readonly #onClosed: (end: TunnelEnd) => void;
  #thread: RelayThread | undefined;

  constructor(options: TunnelsOptions, onClosed: (end: TunnelEnd) => void) {
    this.#options = options;
    this.#onClosed = onClosed;
  }

  start(): RelayThread {
    if (this.#thread !== undefined) return this.#thread;
    const { limits, logger } = this.#options;
    const thread = new RelayThread(
      {
        idleTimeoutMs: limits.tunnelIdleTimeoutMs,
        halfClosedIdleTimeoutMs: limits.halfClosedTimeoutMs,
        heldBytesSoftLimit: limits.heldBytesSoftLimit,
        maxPipes: limits.maxPipes,
      },
      {
        onClosed: this.#onClosed,
        onFailure: (error) => {
          if (this.#thread === thread) this.#thread = undefined;
          logger.error(
            { error: error.stack },
            `relay thread failed, its tunnels are closed: ${errorText(error)}`,
          );
        },
      },
    );
    this.#thread = thread;
    return thread;
  }

  bytesOf(id: number): { readonly up: number; readonly down: number } {
    return this.#thread?.bytesOf(id) ?? { up: 0, down: 0 };
  }

  async stop(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.stop();
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
