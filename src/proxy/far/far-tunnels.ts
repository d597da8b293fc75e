/**
 * What runs through the far end: TCP tunnels and flows of datagrams, with their limits.
 *
 * Invariant: `#perClient` has for each client what is being set up or open, and nothing else.
 */
import type { IncomingMessage } from 'node:http';
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { errorText, formatSocketAddress, type Logger } from '../../base/index.ts';
import { closeFd, IPPROTO_TCP, TCP_NODELAY, trySetIntOption } from '../../native/index.ts';
import type { ProxyTallies } from '../counters.ts';
import { DialError } from '../dialer/dial-error.ts';
import { rawAnswer } from '../http/answer.ts';
import type { Refusals } from '../http/refusals.ts';
import { isMalformed, parseAuthority, type Authority, type Malformed } from '../http/target.ts';
import { setKeepalive } from '../keepalive.ts';
import { StreamTunnels } from '../stream-tunnels.ts';
import { FramedStream } from '../upstream/framed-stream.ts';
import { FRAMES_FIELD, FRAMES_LINE, FRAMES_VALUE } from '../upstream/frames.ts';
import { formatProxyStatus } from '../upstream/proxy-status.ts';
import { TLS_HIGH_WATER_BYTES } from '../upstream/tls-settings.ts';
import type { FarLimits } from './far-options.ts';
import type { FarReach } from './far-reach.ts';
import { carryFlow, connectUdp, type FarFlowCounts } from './far-udp.ts';
import { parseUdpPath } from './udp-path.ts';

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n');
const ESTABLISHED_FRAMED = Buffer.from(`HTTP/1.1 200 Connection established\r\n${FRAMES_LINE}\r\n`);
const SWITCHED = Buffer.from(
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n',
);

export interface FarRequest {
  readonly request: IncomingMessage;
  readonly stream: TLSSocket;
  readonly head: Buffer;
  /** Name of the token or certificate. */
  readonly client: string;
}

/** Opens what was asked for; what it gives begins to carry, and calls `release` at its end. */
type Work = (target: Authority, signal: AbortSignal) => Promise<(release: () => void) => void>;

interface Begun {
  readonly stream: TLSSocket;
  readonly target: Authority;
  readonly client: string;
  readonly release: () => void;
  readonly work: Work;
}

export interface FarTunnelsOptions {
  readonly reach: FarReach;
  readonly limits: FarLimits;
  readonly tallies: ProxyTallies;
  readonly refusals: Refusals;
  readonly logger: Logger;
}

/** RFC 9209 section 2.3. */
const ERRORS: Readonly<Record<string, string>> = {
  'not-found': 'dns_error',
  'resolver-failed': 'dns_error',
  refused: 'connection_refused',
  unreachable: 'destination_unavailable',
  timeout: 'connection_timeout',
  reset: 'connection_terminated',
  forbidden: 'destination_ip_prohibited',
};

export class FarTunnels {
  readonly #options: FarTunnelsOptions;
  readonly #streams: StreamTunnels;
  /** BOUNDED: the names of tokens and certificates that have something open. */
  readonly #perClient = new Map<string, number>();
  /** Releases of open tunnels. BOUNDED by `maxTunnels`. */
  readonly #open = new Map<number, () => void>();
  readonly #flowCounts: FarFlowCounts = { up: 0, down: 0, dropped: 0 };
  #total = 0;
  #lastId = 0;
  #flowsOpen = 0;
  #flowsOpened = 0;
  #stopped = false;

  constructor(options: FarTunnelsOptions) {
    this.#options = options;
    const { limits, tallies, logger } = options;
    this.#streams = new StreamTunnels({
      idleTimeoutMs: limits.tunnelIdleTimeoutMs,
      halfClosedIdleTimeoutMs: limits.halfClosedTimeoutMs,
      onClosed: ({ id, reason, bytesUp, bytesDown }) => {
        // The destination stands where a client stands elsewhere.
        tallies.bytesUp += bytesDown;
        tallies.bytesDown += bytesUp;
        logger.debug({ id, reason, bytesUp: bytesDown, bytesDown: bytesUp }, 'tunnel closed');
        this.#open.get(id)?.();
        this.#open.delete(id);
      },
    });
  }

  handleConnect(asked: FarRequest): void {
    const authority = parseAuthority(asked.request.url ?? '');
    this.#begin(asked, authority, (target, signal) => this.#connect(asked, target, signal));
  }

  handleConnectUdp(asked: FarRequest): void {
    const authority = parseUdpPath(asked.request.url ?? '');
    this.#begin(asked, authority, (target, signal) => this.#connectUdp(asked, target, signal));
  }

  /** Checks the limits, and holds a place until `work`, or what it has opened, gives it back. */
  #begin({ stream, client }: FarRequest, target: Authority | Malformed, work: Work): void {
    const { limits, refusals } = this.#options;
    const own = this.#perClient.get(client) ?? 0;
    if (isMalformed(target)) {
      refusals.refuse(stream, 'bad-target', 400, target.reason);
      return;
    }
    if (this.#stopped || this.#total >= limits.maxTunnels || own >= limits.maxTunnelsPerClient) {
      const isOwn = own >= limits.maxTunnelsPerClient;
      const reason = isOwn ? 'all tunnels of this client are in use' : 'all tunnels are in use';
      refusals.refuseWith(stream, isOwn ? 'client-limit' : 'too-many-tunnels', 503, reason, {
        'Proxy-Status': formatProxyStatus('proxy_internal_response', reason),
      });
      return;
    }
    this.#total++;
    this.#perClient.set(client, own + 1);
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      this.#total--;
      const left = (this.#perClient.get(client) ?? 1) - 1;
      if (left > 0) this.#perClient.set(client, left);
      else this.#perClient.delete(client);
    };
    void this.#run({ stream, target, client, release, work });
  }

  async #run({ stream, target, client, release, work }: Begun): Promise<void> {
    const stop = new AbortController();
    const onGone = () => stop.abort(new Error('the client went away'));
    stream.once('close', onGone);
    try {
      (await work(target, stop.signal))(release);
    } catch (error) {
      release();
      this.#fail(stream, target, client, error);
    } finally {
      stream.off('close', onGone);
    }
  }

  #fail(stream: TLSSocket, { host, port }: Authority, client: string, error: unknown): void {
    const { tallies, refusals, logger } = this.#options;
    const failure = error instanceof DialError ? error.failure : 'other';
    tallies.dialFailures.add(failure);
    const text = errorText(error);
    logger.debug({ client, target: formatSocketAddress(host, port), failure }, text);
    const status = error instanceof DialError ? error.status : 502;
    // The words go to the laptop's user as well (RFC 9209).
    const details = formatProxyStatus(ERRORS[failure] ?? 'proxy_internal_error', text);
    refusals.closeWith(stream, rawAnswer(status, text, { 'Proxy-Status': details }));
  }

  async #connect(
    { request, stream, head, client }: FarRequest,
    target: Authority,
    signal: AbortSignal,
  ): Promise<(release: () => void) => void> {
    // A Weft asks for frames; others (curl, browsers) for the CONNECT that they know.
    const isFramed = request.headers[FRAMES_FIELD] === FRAMES_VALUE;
    const { reach, tallies, logger } = this.#options;
    const { fd, address, port } = await reach.connect(target, signal);
    let socket: Socket;
    try {
      signal.throwIfAborted();
      trySetIntOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      setKeepalive(fd);
      // Known to Node, not to its types.
      const options: SocketConstructorOpts & { readonly highWaterMark: number } = {
        fd,
        readable: true,
        writable: true,
        allowHalfOpen: true,
        highWaterMark: TLS_HIGH_WATER_BYTES,
      };
      socket = new Socket(options);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    return (release) => {
      const id = ++this.#lastId;
      tallies.tunnelsOpened++;
      this.#open.set(id, release);
      stream.write(isFramed ? ESTABLISHED_FRAMED : ESTABLISHED);
      // After its end nothing can be put back; of frames that would be a cut.
      const isOver = stream.readableEnded && !isFramed;
      if (head.length > 0 && !isOver) stream.unshift(head);
      if (head.length > 0 && isOver) socket.write(head);
      const upstream = isFramed ? new FramedStream(stream) : stream;
      this.#streams.open({ id, client: socket, upstream, head: new Uint8Array(0) });
      const remote = formatSocketAddress(address, port);
      logger.debug(
        { id, client, target: formatSocketAddress(target.host, target.port), remote },
        'tunnel opened',
      );
    };
  }

  async #connectUdp(
    { stream, head }: FarRequest,
    target: Authority,
    signal: AbortSignal,
  ): Promise<(release: () => void) => void> {
    const address = await this.#options.reach.resolve(target, signal);
    const socket = await connectUdp(address, target.port);
    return (release) => {
      this.#flowsOpen++;
      this.#flowsOpened++;
      stream.write(SWITCHED);
      carryFlow(socket, {
        stream,
        head,
        address,
        port: target.port,
        idleTimeoutMs: this.#options.limits.udpIdleTimeoutMs,
        counts: this.#flowCounts,
        onClosed: () => {
          this.#flowsOpen--;
          release();
        },
      });
    };
  }

  counts() {
    const { up, down, dropped } = this.#flowCounts;
    return {
      tunnelsOpen: this.#open.size,
      udpFlowsOpened: this.#flowsOpened,
      udpFlowsOpen: this.#flowsOpen,
      datagramsUp: up,
      datagramsDown: down,
      datagramsDropped: dropped,
    };
  }

  /** Ends every tunnel; flows end with their streams, which the server destroys. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#streams.stop();
  }
}
