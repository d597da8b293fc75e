/**
 * One direction of a tunnel: bytes from one descriptor to another, until EAGAIN, as the edge-triggered loop
 * (relay-loop.ts) demands. Small traffic is copied through the worker's one buffer; bulk between two TCP sockets
 * goes through a pipe (splice), uncopied.
 *
 * Invariants:
 * - nothing is read while earlier bytes wait to be written, so a slow reader stops the sender (back-pressure);
 * - what a stalled direction holds is at most one read, smaller when many stall at once (`heldBytesSoftLimit`);
 * - a pipe is held only while it contains bytes or within one call of `pump`.
 *
 * References: epoll(7) on edges, splice(2), docs/architecture.md decision 5 (measurements).
 */
import { EAGAIN, EINTR, lastErrno, libc, MSG_NOSIGNAL, SHUT_WR } from '../../native/index.ts';
import { PIPE_BYTES, type Pipe, type PipePool } from './pipe-pool.ts';

export const COPY_BYTES = 1 << 18;
/** The size of a read while the held bytes of all tunnels are over their limit. */
const SMALL_READ_BYTES = 1 << 14;
/** A read this large is a sign of bulk, for which the two calls more of a pipe pay. */
const BULK_BYTES = 1 << 16;
/** BOUNDED: rounds of read and write in one turn, so that one tunnel does not starve the others. */
const ROUNDS_PER_TURN = 16;

const SPLICE_FLAGS = 3; // SPLICE_F_MOVE | SPLICE_F_NONBLOCK

/** What all directions of a worker share. */
export interface RelayResources {
  readonly pipes: PipePool;
  /** COPY_BYTES long; empty between two calls. */
  readonly buffer: Uint8Array;
  readonly heldBytesSoftLimit: number;
  /** Bytes read and not yet written, of all directions. */
  heldBytes: number;
}

/** What `pump` ends with. */
export const Pumped = {
  /** Nothing more to do until epoll says so. */
  waiting: 0,
  /** The turn's share is used up; call again after the others. */
  again: 1,
  /** All is passed on, the end too. */
  finished: 2,
  /** `failedSide` and `errno` say what. */
  failed: 3,
} as const;

export type PumpResult = (typeof Pumped)[keyof typeof Pumped];

export class Direction {
  readonly source: number;
  readonly sink: number;
  readonly canSplice: boolean;
  /** Both set by the loop when epoll says so, cleared here at EAGAIN. A fresh descriptor has room to write. */
  sourceReady = false;
  sinkReady = true;
  /** The source's end was read. */
  ended = false;
  /** The end was passed on to the sink. */
  finished = false;
  /** Bytes written to the sink. */
  bytes = 0;
  errno = 0;
  failedSide: 'source' | 'sink' = 'source';
  #bulk = false;
  #carry: Uint8Array | undefined;
  #carryAt = 0;
  #pipe: Pipe | undefined;
  #inPipe = 0;
  #heldBytes = 0;
  /** The source failed; told after what came before is written. */
  #readErrno = 0;

  constructor(source: number, sink: number, canSplice: boolean, first: Uint8Array | undefined) {
    this.source = source;
    this.sink = sink;
    this.canSplice = canSplice;
    this.#carry = first !== undefined && first.length > 0 ? first : undefined;
  }

  /** Moves what can be moved now. */
  pump(resources: RelayResources): PumpResult {
    const result = this.#run(resources);
    const held = this.#inPipe + (this.#carry === undefined ? 0 : this.#carry.length - this.#carryAt);
    resources.heldBytes += held - this.#heldBytes;
    this.#heldBytes = held;
    if (this.#pipe !== undefined && this.#inPipe === 0) {
      resources.pipes.release(this.#pipe);
      this.#pipe = undefined;
    }
    return result;
  }

  /** Gives back what is held; the descriptors are the tunnel's to close. */
  dispose(resources: RelayResources): void {
    if (this.#pipe !== undefined) resources.pipes.discard(this.#pipe);
    this.#pipe = undefined;
    this.#carry = undefined;
    resources.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
  }

  #run(resources: RelayResources): PumpResult {
    if (this.finished) return Pumped.finished;
    for (let round = 0; round < ROUNDS_PER_TURN; round++) {
      if ((this.#carry !== undefined || this.#inPipe > 0) && !this.#flush()) return this.#stalled();
      if (this.ended) return this.#finish();
      if (!this.sourceReady) return Pumped.waiting;
      const crowded = resources.heldBytes > resources.heldBytesSoftLimit;
      const pipe = this.#bulk && !crowded ? (this.#pipe ??= resources.pipes.acquire()) : undefined;
      if (pipe !== undefined) this.#fillPipe(pipe);
      else if (!this.#copy(resources.buffer, crowded ? SMALL_READ_BYTES : COPY_BYTES)) return this.#stalled();
    }
    return Pumped.again;
  }

  #stalled(): PumpResult {
    if (this.errno !== 0) return Pumped.failed;
    return this.sinkReady ? Pumped.again : Pumped.waiting;
  }

  #fail(side: 'source' | 'sink', errno: number): void {
    this.errno = errno;
    this.failedSide = side;
  }

  /** Writes what is held. `false`: not all of it (the sink is full or failed). */
  #flush(): boolean {
    if (!this.sinkReady) return false;
    while (this.#carry !== undefined) {
      const rest = this.#carryAt === 0 ? this.#carry : this.#carry.subarray(this.#carryAt);
      const count = libc.send(this.sink, rest, rest.length, MSG_NOSIGNAL);
      if (count < 0) return this.#cannotWrite();
      this.bytes += count;
      this.#carryAt += count;
      if (this.#carryAt === this.#carry.length) {
        this.#carry = undefined;
        this.#carryAt = 0;
      }
    }
    while (this.#inPipe > 0) {
      const count = libc.splice(this.#pipe!.readEnd, null, this.sink, null, this.#inPipe, SPLICE_FLAGS);
      if (count < 0) return this.#cannotWrite();
      this.bytes += count;
      this.#inPipe -= count;
    }
    return true;
  }

  /** After a failed write: `false`, with the reason noted. EINTR leaves all as it was, to be tried again. */
  #cannotWrite(): false {
    const errno = lastErrno();
    if (errno === EAGAIN) this.sinkReady = false;
    else if (errno !== EINTR) this.#fail('sink', errno);
    return false;
  }

  /** After a failed or empty read. */
  #noteRead(count: number): void {
    if (count === 0) {
      this.ended = true;
      return;
    }
    const errno = lastErrno();
    if (errno === EAGAIN) this.sourceReady = false;
    else if (errno !== EINTR) {
      this.ended = true;
      this.#readErrno = errno;
    }
  }

  /**
   * Called with an empty pipe only, because EAGAIN would otherwise also mean "the pipe is full".
   */
  #fillPipe(pipe: Pipe): void {
    const count = libc.splice(this.source, null, pipe.writeEnd, null, PIPE_BYTES, SPLICE_FLAGS);
    if (count > 0) {
      this.#inPipe = count;
      // A trickle goes back to copying, whose pipe costs nothing.
      if (count < SMALL_READ_BYTES) this.#bulk = false;
    } else this.#noteRead(count);
  }

  /** `false`: the sink did not take all. */
  #copy(buffer: Uint8Array, wantedBytes: number): boolean {
    const count = libc.read(this.source, buffer, wantedBytes);
    if (count <= 0) {
      this.#noteRead(count);
      return true;
    }
    if (count >= BULK_BYTES) this.#bulk = this.canSplice;
    let at = 0;
    while (at < count) {
      const rest = at === 0 ? buffer : buffer.subarray(at, count);
      const sent = libc.send(this.sink, rest, count - at, MSG_NOSIGNAL);
      if (sent < 0) {
        this.#carry = buffer.slice(at, count);
        this.#carryAt = 0;
        return this.#cannotWrite();
      }
      this.bytes += sent;
      at += sent;
    }
    return true;
  }

  #finish(): PumpResult {
    if (this.#readErrno !== 0) {
      this.#fail('source', this.#readErrno);
      return Pumped.failed;
    }
    libc.shutdown(this.sink, SHUT_WR);
    this.finished = true;
    return Pumped.finished;
  }
}
