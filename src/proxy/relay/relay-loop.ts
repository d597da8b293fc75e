/**
 * The relay: every CONNECT tunnel's bytes, on one epoll loop that blocks its own thread. Descriptors arrive
 * connected; which host they lead to is not known here.
 *
 * A turn, in order: wait → deliver events to tunnels → tunnels that had more to do than their share → messages of
 * the main thread → report of closed tunnels → idle check.
 *
 * Invariants: a tunnel is in `#tunnels` exactly while its two descriptors are open; messages are taken after the
 * events of a turn, so that no event of a closed tunnel reaches the next one in its slot. Edge-triggered: every
 * event is followed by reading or writing until EAGAIN (direction.ts).
 */
import {
  abortConnection,
  EPIPE,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  type EpollLoop,
  libc,
  SystemError,
  takeSocketError,
  WAKE_KEY,
} from '../../native/index.ts';
import { COPY_BYTES, Direction, Pumped, type PumpResult, type RelayResources } from './direction.ts';
import { PipePool } from './pipe-pool.ts';
import {
  type ClosedTunnel,
  type CloseReason,
  type FromRelay,
  type OpenTunnel,
  type RelayOptions,
  type ToRelay,
  TunnelCounters,
} from './protocol.ts';

const INTEREST = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
const READABLE = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
const WRITABLE = EPOLLOUT | EPOLLHUP | EPOLLERR;
/** The idle check comes this often in the shortest time limit. */
const CHECKS_PER_TIMEOUT = 4;
const MAX_CHECK_INTERVAL_MS = 30_000;

interface Tunnel {
  readonly id: number;
  readonly counterSlot: number;
  readonly clientFd: number;
  readonly upstreamFd: number;
  readonly up: Direction;
  readonly down: Direction;
  lastActivityMs: number;
  /** Stands in the list of those with more to do. */
  queued: boolean;
}

/** How the loop talks to the main thread. */
export interface RelayPort {
  /** The next messages, oldest first. */
  receive(): readonly ToRelay[] | undefined;
  send(message: FromRelay): void;
}

export class RelayLoop {
  readonly #loop: EpollLoop;
  readonly #port: RelayPort;
  readonly #options: RelayOptions;
  readonly #resources: RelayResources;
  readonly #counters = new TunnelCounters();
  /** BOUNDED by the main thread's limit of tunnels; the index is half of the epoll key. */
  readonly #tunnels: (Tunnel | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  readonly #slotOfId = new Map<number, number>();
  /** BOUNDED: each tunnel once. */
  #queue: number[] = [];
  #closed: ClosedTunnel[] = [];
  #nowMs = performance.now();
  #nextCheckMs = Infinity;
  #stopping = false;

  constructor(loop: EpollLoop, port: RelayPort, options: RelayOptions) {
    this.#loop = loop;
    this.#port = port;
    this.#options = options;
    this.#resources = {
      pipes: new PipePool(options.maxPipes),
      buffer: new Uint8Array(new ArrayBuffer(COPY_BYTES)),
      heldBytesSoftLimit: options.heldBytesSoftLimit,
      heldBytes: 0,
    };
  }

  /** Runs until the main thread says stop. Every descriptor is closed then, also when this throws. */
  runLoop(): void {
    try {
      this.#port.send({ kind: 'ready' });
      while (!this.#stopping) this.#runTurn();
    } finally {
      for (const [slot, tunnel] of this.#tunnels.entries()) {
        if (tunnel !== undefined) this.#close(slot, tunnel, 'aborted', 0);
      }
      this.#report();
      this.#resources.pipes.close();
      this.#loop.close();
    }
  }

  #runTurn(): void {
    const count = this.#loop.wait(this.#waitMs());
    this.#nowMs = performance.now();
    let woken = false;
    for (let i = 0; i < count; i++) {
      const key = this.#loop.keyAt(i);
      if (key === WAKE_KEY) woken = true;
      else this.#handleEvents(key >>> 1, (key & 1) === 1, this.#loop.eventsAt(i));
    }
    this.#runQueue();
    if (woken) this.#takeMessages();
    this.#report();
    if (this.#nowMs >= this.#nextCheckMs) this.#closeIdle();
  }

  #waitMs(): number {
    if (this.#queue.length > 0) return 0;
    if (this.#nextCheckMs === Infinity) return -1;
    return Math.max(0, Math.ceil(this.#nextCheckMs - performance.now()));
  }

  #handleEvents(slot: number, ofUpstream: boolean, events: number): void {
    const tunnel = this.#tunnels[slot];
    if (tunnel === undefined) return;
    const outOf = ofUpstream ? tunnel.down : tunnel.up;
    const into = ofUpstream ? tunnel.up : tunnel.down;
    if ((events & READABLE) !== 0) outOf.sourceReady = true;
    if ((events & WRITABLE) !== 0) into.sinkReady = true;
    if (!this.#pumpBoth(slot, tunnel)) return;
    // Nobody reads this descriptor any more, so its failure must be asked for.
    if ((events & EPOLLERR) !== 0 && outOf.ended) {
      const errno = takeSocketError(ofUpstream ? tunnel.upstreamFd : tunnel.clientFd);
      if (errno !== 0) this.#close(slot, tunnel, failureReason(!ofUpstream, errno, true), errno);
    }
  }

  #runQueue(): void {
    const queue = this.#queue;
    if (queue.length === 0) return;
    this.#queue = [];
    for (const slot of queue) {
      const tunnel = this.#tunnels[slot];
      if (tunnel === undefined || !tunnel.queued) continue;
      tunnel.queued = false;
      this.#pumpBoth(slot, tunnel);
    }
  }

  /** `false`: the tunnel was closed. */
  #pumpBoth(slot: number, tunnel: Tunnel): boolean {
    const { up, down } = tunnel;
    const before = up.bytes + down.bytes;
    const upResult = up.pump(this.#resources);
    const downResult: PumpResult = upResult === Pumped.failed ? Pumped.waiting : down.pump(this.#resources);
    if (up.bytes + down.bytes !== before) {
      tunnel.lastActivityMs = this.#nowMs;
      this.#counters.set(tunnel.counterSlot, up.bytes, down.bytes);
    }
    const failed = upResult === Pumped.failed ? up : downResult === Pumped.failed ? down : undefined;
    if (failed !== undefined) {
      const ofClient = (failed === up) === (failed.failedSide === 'source');
      const { ended } = ofClient ? up : down;
      this.#close(
        slot,
        tunnel,
        failureReason(ofClient, failed.errno, ended && failed.failedSide === 'sink'),
        failed.errno,
      );
      return false;
    }
    if (upResult === Pumped.finished && downResult === Pumped.finished) {
      this.#close(slot, tunnel, 'finished', 0);
      return false;
    }
    if ((upResult === Pumped.again || downResult === Pumped.again) && !tunnel.queued) {
      tunnel.queued = true;
      this.#queue.push(slot);
    }
    return true;
  }

  #takeMessages(): void {
    this.#loop.wakeFd.clear();
    for (let messages = this.#port.receive(); messages !== undefined; messages = this.#port.receive()) {
      for (const message of messages) this.#takeMessage(message);
    }
  }

  #takeMessage(message: ToRelay): void {
    switch (message.kind) {
      case 'open':
        this.#open(message);
        break;
      case 'counters':
        this.#counters.addBlock(message.block);
        break;
      case 'abort': {
        const slot = this.#slotOfId.get(message.id);
        const tunnel = slot === undefined ? undefined : this.#tunnels[slot];
        if (slot !== undefined && tunnel !== undefined) this.#close(slot, tunnel, 'aborted', 0);
        break;
      }
      case 'stop':
        this.#stopping = true;
        break;
    }
  }

  #open(message: OpenTunnel): void {
    const { id, counterSlot, clientFd, upstreamFd, splice } = message;
    const slot = this.#freeSlots.pop() ?? this.#tunnels.length;
    const tunnel: Tunnel = {
      id,
      counterSlot,
      clientFd,
      upstreamFd,
      up: new Direction(clientFd, upstreamFd, splice, message.toUpstream),
      down: new Direction(upstreamFd, clientFd, splice, message.toClient),
      lastActivityMs: this.#nowMs,
      queued: false,
    };
    this.#tunnels[slot] = tunnel;
    this.#slotOfId.set(id, slot);
    try {
      this.#loop.add(clientFd, INTEREST, slot * 2);
      this.#loop.add(upstreamFd, INTEREST, slot * 2 + 1);
    } catch (error) {
      // The kernel's limit of watched descriptors (fs.epoll.max_user_watches) or of memory.
      this.#close(slot, tunnel, 'no-resources', error instanceof SystemError ? error.errno : 0);
      return;
    }
    const { idleTimeoutMs, halfClosedIdleTimeoutMs } = this.#options;
    if (this.#nextCheckMs === Infinity && (idleTimeoutMs > 0 || halfClosedIdleTimeoutMs > 0)) {
      this.#planIdleCheck();
    }
    if (message.toUpstream !== undefined || message.toClient !== undefined) this.#pumpBoth(slot, tunnel);
  }

  /** Anything but `finished` resets both connections, so that neither end takes what it has for the whole. */
  #close(slot: number, tunnel: Tunnel, reason: CloseReason, errno: number): void {
    tunnel.up.dispose(this.#resources);
    tunnel.down.dispose(this.#resources);
    for (const fd of [tunnel.clientFd, tunnel.upstreamFd]) {
      if (reason !== 'finished') abortConnection(fd);
      libc.close(fd);
    }
    this.#tunnels[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#slotOfId.delete(tunnel.id);
    this.#closed.push({ id: tunnel.id, reason, errno });
  }

  #report(): void {
    if (this.#closed.length === 0) return;
    this.#port.send({ kind: 'closed', tunnels: this.#closed });
    this.#closed = [];
  }

  #planIdleCheck(): void {
    const limits = [this.#options.idleTimeoutMs, this.#options.halfClosedIdleTimeoutMs].filter(
      (ms) => ms > 0,
    );
    const interval = Math.min(...limits) / CHECKS_PER_TIMEOUT;
    this.#nextCheckMs = this.#nowMs + Math.min(Math.max(interval, 10), MAX_CHECK_INTERVAL_MS);
  }

  #closeIdle(): void {
    const { idleTimeoutMs, halfClosedIdleTimeoutMs } = this.#options;
    for (const [slot, tunnel] of this.#tunnels.entries()) {
      if (tunnel === undefined) continue;
      const idleMs = this.#nowMs - tunnel.lastActivityMs;
      const halfClosed = tunnel.up.finished || tunnel.down.finished;
      if (halfClosed && halfClosedIdleTimeoutMs > 0 && idleMs >= halfClosedIdleTimeoutMs) {
        this.#close(slot, tunnel, 'half-closed-idle', 0);
      } else if (idleTimeoutMs > 0 && idleMs >= idleTimeoutMs) {
        this.#close(slot, tunnel, 'idle', 0);
      }
    }
    this.#report();
    if (this.#slotOfId.size === 0) this.#nextCheckMs = Infinity;
    else this.#planIdleCheck();
  }
}

/**
 * EPIPE, also of a read, and any failure of an end whose FIN came before: that end had closed, and refused what the
 * other end still sent.
 */
function failureReason(ofClient: boolean, errno: number, hadEnded: boolean): CloseReason {
  if (errno === EPIPE || hadEnded) return 'closed-early';
  return ofClient ? 'client-failed' : 'upstream-failed';
}
