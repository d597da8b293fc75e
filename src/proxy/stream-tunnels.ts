/**
 * Tunnels whose upstream end is a stream that only Node can make (TLS): carried in the main thread by `pipe`, which
 * stops the sender of a reader that is slow.
 *
 * Invariants: `onClosed` is called exactly once for each tunnel; the end of one direction is passed on and leaves the
 * other open; anything else that ends a tunnel resets the client, so that it does not take what it has for the whole.
 * Whether an end is one is the upstream stream's to know: between two Wefts it has a word of its own
 * (upstream/framed-stream.ts); Node's TLS alone cannot tell it from a FIN that somebody has forged.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TunnelEnd } from './relay/relay-thread.ts';

export interface StreamTunnel {
  readonly id: number;
  readonly client: Socket;
  readonly upstream: Duplex;
  /** What the client has sent already. */
  readonly head: Uint8Array;
}

export interface StreamTunnelsOptions {
  /** 0: never. */
  readonly idleTimeoutMs: number;
  /** For tunnels of which one direction has ended. 0: never. */
  readonly halfClosedIdleTimeoutMs: number;
  readonly onClosed: (end: TunnelEnd) => void;
}

interface Carried {
  readonly client: Socket;
  readonly upstream: Duplex;
  up: number;
  down: number;
  /** Directions that have ended. */
  ended: number;
  lastActivityMs: number;
}

const CHECKS_PER_TIMEOUT = 4;
const MAX_CHECK_INTERVAL_MS = 30_000;

export class StreamTunnels {
  readonly #options: StreamTunnelsOptions;
  /** BOUNDED by the proxy's limit of tunnels. */
  readonly #carried = new Map<number, Carried>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StreamTunnelsOptions) {
    this.#options = options;
  }

  /** Takes both ends over. */
  open({ id, client, upstream, head }: StreamTunnel): void {
    const tunnel: Carried = { client, upstream, up: 0, down: 0, ended: 0, lastActivityMs: performance.now() };
    this.#carried.set(id, tunnel);
    this.#planIdleCheck();
    const countUp = (bytes: number) => {
      tunnel.up += bytes;
      tunnel.lastActivityMs = performance.now();
    };
    if (head.length > 0) {
      upstream.write(head);
      countUp(head.length);
    }
    client.on('data', (chunk: Buffer) => countUp(chunk.length));
    upstream.on('data', (chunk: Buffer) => {
      tunnel.down += chunk.length;
      tunnel.lastActivityMs = performance.now();
    });
    const handleEnd = () => {
      tunnel.ended++;
    };
    client.once('end', handleEnd);
    upstream.once('end', handleEnd);
    client.once('error', (error) => this.#end(id, 'client-failed', error));
    upstream.once('error', (error) => this.#end(id, 'upstream-failed', error));
    // One that comes after the tunnel's end concerns nobody.
    upstream.on('error', () => {});
    client.once('close', () => this.#handleClose(id, 'client-failed'));
    upstream.once('close', () => this.#handleClose(id, 'upstream-failed'));
    client.pipe(upstream);
    upstream.pipe(client);
    // What happened before is not told again.
    if (upstream.destroyed) process.nextTick(() => this.#end(id, 'upstream-failed'));
  }

  bytesOf(id: number): { readonly up: number; readonly down: number } | undefined {
    return this.#carried.get(id);
  }

  /** Of both directions ended the ends have their own `close`; the first is the tunnel's when both were passed on. */
  #handleClose(id: number, otherwise: TunnelEnd['reason']): void {
    const tunnel = this.#carried.get(id);
    if (tunnel === undefined) return;
    this.#end(id, tunnel.ended === 2 ? 'finished' : otherwise);
  }

  #end(id: number, reason: TunnelEnd['reason'], error?: NodeJS.ErrnoException): void {
    const tunnel = this.#carried.get(id);
    if (tunnel === undefined) return;
    this.#carried.delete(id);
    const { client, upstream, up, down } = tunnel;
    if (reason === 'finished') {
      // What was written last may still be on its way out.
      client.destroySoon();
      upstream.end();
    } else {
      client.resetAndDestroy();
      upstream.destroy();
    }
    const errno = Math.abs(error?.errno ?? 0);
    if (this.#carried.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#options.onClosed({ id, reason, errno, bytesUp: up, bytesDown: down });
  }

  #planIdleCheck(): void {
    const { idleTimeoutMs, halfClosedIdleTimeoutMs } = this.#options;
    const shortest = Math.min(...[idleTimeoutMs, halfClosedIdleTimeoutMs].filter((ms) => ms > 0));
    if (this.#timer !== undefined || !Number.isFinite(shortest)) return;
    const interval = Math.min(Math.max(shortest / CHECKS_PER_TIMEOUT, 10), MAX_CHECK_INTERVAL_MS);
    this.#timer = setInterval(() => this.#closeIdle(), interval);
    this.#timer.unref();
  }

  #closeIdle(): void {
    const { idleTimeoutMs, halfClosedIdleTimeoutMs } = this.#options;
    const nowMs = performance.now();
    for (const [id, { ended, lastActivityMs }] of this.#carried) {
      const idleMs = nowMs - lastActivityMs;
      if (ended === 1 && halfClosedIdleTimeoutMs > 0 && idleMs >= halfClosedIdleTimeoutMs) {
        this.#end(id, 'half-closed-idle');
      } else if (idleTimeoutMs > 0 && idleMs >= idleTimeoutMs) {
        this.#end(id, 'idle');
      }
    }
  }

  /** Resets every tunnel; resolves when all ends are closed. */
  async stop(): Promise<void> {
    const ends = [...this.#carried.values()].flatMap(({ client, upstream }): Duplex[] => [client, upstream]);
    const closed = ends.filter((end) => !end.closed).map((end) => once(end, 'close'));
    for (const id of this.#carried.keys()) this.#end(id, 'aborted');
    await Promise.allSettled(closed);
  }
}
