/**
 * Upstream connections of plain requests: Node's http.Agent keeps and reuses them, the dialer makes them.
 *
 * Invariant: `#open` holds each upstream socket from the moment it exists until its 'close'. A kept connection is
 * given only to a client that the policy of now would have given the same: of a former policy none is used again,
 * and one made for a client of this host is not given to one of another host, which may reach less (dialer.ts).
 */
import { Agent, type ClientRequestArgs } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatSocketAddress } from '../base/index.ts';
import { IPPROTO_TCP, TCP_NODELAY, trySetIntOption } from '../native/index.ts';
import type { ProxyConnection, ProxyTallies } from './counters.ts';
import type { Client } from './client.ts';
import type { Dialer } from './dialer/dialer.ts';
import type { PolicyHolder } from './policy/policy-holder.ts';
import {
  closeUpstream,
  fallbackInodeOf,
  tokenOf,
  type SocketUpstream,
  type Upstream,
} from './dialer/upstream.ts';

/** What a request tells of itself, beside what Node knows. */
export interface DialContext {
  readonly client: Client;
  /** Told how to give the dial up, when one begins for this request. */
  readonly onDial: (abort: () => void) => void;
}

/** http.request's options, with the context that Node hands through untouched. */
export interface UpstreamRequestOptions extends ClientRequestArgs {
  readonly host: string;
  readonly port: number;
  readonly dialContext: DialContext;
}

type Created = (error: Error | null, stream: Duplex) => void;

interface OpenUpstream {
  readonly id: number;
  readonly target: string;
  readonly upstream: Upstream;
  readonly token?: number;
  readonly inode?: number;
  readonly openedAtMs: number;
  client: string;
}

export interface UpstreamAgentOptions {
  readonly dialer: Dialer;
  readonly policy: PolicyHolder;
  readonly tallies: ProxyTallies;
  readonly nextId: () => number;
  readonly maxIdle: number;
  readonly idleTimeoutMs: number;
}

export class UpstreamAgent extends Agent {
  readonly #settings: UpstreamAgentOptions;
  /** BOUNDED: one for each client request under way, and `maxIdle` idle ones. */
  readonly #open = new Map<Duplex, OpenUpstream>();
  /** With the listener that ends a connection which speaks unasked: that must not answer its next request. */
  readonly #idle = new Map<Duplex, () => void>();
  #closed = false;

  constructor(settings: UpstreamAgentOptions) {
    super({
      keepAlive: true,
      scheduling: 'lifo',
      maxFreeSockets: settings.maxIdle,
      timeout: settings.idleTimeoutMs,
    });
    this.#settings = settings;
  }

  override getName(options?: ClientRequestArgs): string {
    const context = (options as UpstreamRequestOptions | undefined)?.dialContext;
    return `${this.#classOf(context?.client)}|${super.getName(options)}`;
  }

  /** Who may use a kept connection: whoever the policy of now would have sent the same way. */
  #classOf(client: Client | undefined): string {
    const { policy } = this.#settings;
    const remote = client?.remote === false ? 'local' : 'remote';
    const who = policy.current.isClientSpecific ? `${client?.address} ${JSON.stringify(client?.user)}` : '';
    return `${policy.generation}|${remote}|${who}`;
  }

  override createConnection(options: ClientRequestArgs, created?: Created): undefined {
    this.connectFor(options as UpstreamRequestOptions, created ?? (() => {}));
    return undefined;
  }

  /** Makes one connection; also used without the pool, for a request that must not get a kept one. */
  connectFor(options: UpstreamRequestOptions, created: Created): void {
    const { host, port, dialContext } = options;
    const { client, onDial } = dialContext;
    const { dialer, tallies } = this.#settings;
    const dialing = dialer.dial({ host, port, client });
    onDial(dialing.abort);
    dialing.result.then(
      (upstream) => {
        if (this.#closed) {
          closeUpstream(upstream);
          created(new Error('the proxy is stopping'), null as never);
          return;
        }
        let stream: Duplex;
        try {
          stream = this.#adopt(upstream, formatSocketAddress(host, port), client.text);
        } catch (error) {
          closeUpstream(upstream);
          created(error as Error, null as never);
          return;
        }
        tallies.addUpstream(upstream.protocol, upstream.fallbackReason);
        created(null, stream);
      },
      (error: Error) => created(error, null as never),
    );
  }

  #adopt(upstream: Upstream, target: string, client: string): Duplex {
    const stream = upstream.kind === 'socket' ? adoptSocket(upstream) : upstream.stream;
    const token = tokenOf(upstream);
    const inode = fallbackInodeOf(upstream);
    this.#open.set(stream, {
      id: this.#settings.nextId(),
      target,
      upstream,
      ...(token === undefined ? {} : { token }),
      ...(inode === undefined ? {} : { inode }),
      openedAtMs: Date.now(),
      client,
    });
    stream.once('close', () => {
      this.#open.delete(stream);
      this.#idle.delete(stream);
      const bytes = bytesOf(stream);
      this.#settings.tallies.bytesUp += bytes.up;
      this.#settings.tallies.bytesDown += bytes.down;
    });
    return stream;
  }

  /** Node asks here whether to keep a connection whose exchange has ended. */
  override keepSocketAlive(stream: Duplex): boolean {
    if (this.#idle.size >= this.#settings.maxIdle) return false;
    // Declared void by @types/node; the documentation and the code say boolean.
    const kept = super.keepSocketAlive(stream) as unknown as boolean;
    if (!kept) return false;
    const end = () => void stream.destroy();
    this.#idle.set(stream, end);
    stream.on('data', end);
    return true;
  }

  override reuseSocket(stream: Duplex, request: Parameters<Agent['reuseSocket']>[1]): void {
    const end = this.#idle.get(stream);
    if (end !== undefined) stream.off('data', end);
    this.#idle.delete(stream);
    super.reuseSocket(stream, request);
  }

  /** A request of that client has got this connection. */
  noteClient(stream: Duplex, client: string): void {
    const entry = this.#open.get(stream);
    if (entry !== undefined) entry.client = client;
  }

  connections(): ProxyConnection[] {
    const list: ProxyConnection[] = [];
    for (const [stream, { upstream, ...entry }] of this.#open) {
      const bytes = bytesOf(stream);
      list.push({
        ...entry,
        kind: 'http',
        remote: formatSocketAddress(upstream.address, upstream.port),
        protocol: upstream.protocol,
        ...(upstream.fallbackReason === undefined ? {} : { fallbackReason: upstream.fallbackReason }),
        ...(upstream.via === undefined ? {} : { via: upstream.via }),
        bytesUp: bytes.up,
        bytesDown: bytes.down,
      });
    }
    return list;
  }

  /** Closes the connections that wait for a next request. */
  closeIdle(): void {
    for (const stream of this.#idle.keys()) stream.destroy();
  }

  /** Closes every connection and resolves when all are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    const closed = [...this.#open.keys()].map(
      (stream) => new Promise<void>((resolve) => stream.once('close', () => resolve())),
    );
    for (const stream of this.#open.keys()) stream.destroy();
    this.destroy();
    await Promise.all(closed);
  }
}

function adoptSocket(upstream: SocketUpstream): Socket {
  trySetIntOption(upstream.fd, IPPROTO_TCP, TCP_NODELAY, 1);
  const socket = new Socket({ fd: upstream.fd, readable: true, writable: true });
  if (upstream.ahead !== undefined && upstream.ahead.length > 0) socket.unshift(upstream.ahead);
  return socket;
}

function bytesOf(stream: Duplex): { readonly up: number; readonly down: number } {
  const { bytesWritten = 0, bytesRead = 0 } = stream as Partial<Socket>;
  return { up: bytesWritten, down: bytesRead };
}
