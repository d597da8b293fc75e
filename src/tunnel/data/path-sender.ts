/**
 * Sends what goes to the paths, in batches (path-batch.ts), and deals with what the kernel refuses.
 *
 *   EAGAIN              the socket is full: this thread waits for it at most `FULL_WAIT_MS`, then drops the batch. A path
 *                       that was waited for in vain is not waited for again for `STUCK_MS`: it takes a little all the
 *                       time, and every other path and connection would wait with it
 *   EINVAL, EIO, …      with several datagrams in one message: one message each; if that works, always from then on
 *   anything else       tried again: the kernel tells an ICMP answer to an earlier datagram by refusing the next one,
 *                       once, and anybody can send such answers. If it stays:
 *   EMSGSIZE            too long for the path: dropped, and told
 *   anything else       dropped: the path's state is the main thread's to find out
 *
 * Whatever is dropped is counted. BOUNDED: `BATCHES` paths are gathered for at a time.
 */
import {
  EAGAIN,
  EINTR,
  EINVAL,
  EIO,
  EMSGSIZE,
  EOPNOTSUPP,
  lastErrno,
  libc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
} from '../../native/index.ts';
import { DATAGRAMS_MAX, MMSGHDR_BYTES, PathBatch } from './path-batch.ts';
import type { PacketMemory } from './packet-memory.ts';
import { OutboundPathCounter, pathField, type DataPathDescription, type FromDataThread } from './protocol.ts';

const BATCHES = 32;
const FULL_WAIT_MS = 20;
const STUCK_MS = 250;
const TOO_LONG_INTERVAL_MS = 1000;
const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;
const POLLOUT = 4;
/** BOUNDED: how often what was refused is tried again. */
const REPEATS = 2;

/** A path as this thread knows it. */
export class OutboundPath {
  readonly connection: number;
  readonly index: number;
  readonly fd: number;
  readonly sockaddr: Uint8Array;
  readonly datagramBytesMax: number;
  readonly counters: Float64Array;
  /** Place of the path's counters in the block. */
  readonly counterAt: number;
  segments: boolean;
  /** Was waited for in vain, and is not until then. */
  stuckUntilMs = -Infinity;
  /** What is gathered for it. */
  batch: PathBatch | undefined;
  tooLongToldMs = -Infinity;

  /** Takes over what `before` found out, if it is of the same socket. */
  constructor(
    connection: number,
    index: number,
    path: DataPathDescription,
    counters: Float64Array,
    before: OutboundPath | undefined,
  ) {
    this.connection = connection;
    this.index = index;
    this.fd = path.fd;
    this.sockaddr = Uint8Array.from(path.remoteSockaddr);
    this.datagramBytesMax = path.datagramBytesMax;
    const isSame = before !== undefined && before.fd === path.fd;
    this.segments = path.segmentation && (!isSame || before.segments);
    if (isSame) {
      this.tooLongToldMs = before.tooLongToldMs;
      this.stuckUntilMs = before.stuckUntilMs;
    }
    this.counters = counters;
    this.counterAt = pathField(index, 0);
  }
}

export interface PathSenderEvents {
  readonly send: (message: FromDataThread) => void;
  /** monotonicMs(); asked for only when something goes wrong. */
  readonly nowMs: () => number;
}

export class PathSender {
  readonly #memory: PacketMemory;
  readonly #sendmsg = libc.sendmsgAt;
  readonly #events: PathSenderEvents;
  readonly #free: PathBatch[] = [];
  /** Paths with a batch, the first `#gathered`. BOUNDED: by `BATCHES`. */
  readonly #gathering: (OutboundPath | undefined)[] = Array.from({ length: BATCHES }, () => undefined);
  #gathered = 0;
  readonly #messages: number;
  readonly #poll = new Uint8Array(8);
  readonly #pollView = new DataView(this.#poll.buffer);

  constructor(memory: PacketMemory, events: PathSenderEvents) {
    this.#memory = memory;
    this.#events = events;
    for (let i = 0; i < BATCHES; i++) this.#free.push(new PathBatch(memory));
    this.#messages = memory.reserve(DATAGRAMS_MAX * MMSGHDR_BYTES);
  }

  /**
   * One datagram of two pieces in packet memory, which must stay as they are until `flush`. A full batch is sent at once.
   */
  add(path: OutboundPath, header: number, headerBytes: number, payload: number, payloadBytes: number): void {
    let { batch } = path;
    if (batch === undefined) batch = this.#begin(path);
    else if (!batch.accepts(headerBytes + payloadBytes)) this.#send(path, batch);
    batch.add(header, headerBytes, payload, payloadBytes);
  }

  /** Sends everything that was added. */
  flush(): void {
    for (let i = 0; i < this.#gathered; i++) {
      const path = this.#gathering[i]!;
      const batch = path.batch!;
      this.#send(path, batch);
      path.batch = undefined;
      this.#gathering[i] = undefined;
      this.#free.push(batch);
    }
    // Not by the length of an array: shortening one is slower than everything else here.
    this.#gathered = 0;
  }

  #begin(path: OutboundPath): PathBatch {
    if (this.#free.length === 0) this.flush();
    const batch = this.#free.pop()!;
    batch.begin(path.sockaddr);
    path.batch = batch;
    this.#gathering[this.#gathered++] = path;
    return batch;
  }

  #send(path: OutboundPath, batch: PathBatch): void {
    if (batch.datagrams === 0) return;
    if (batch.datagrams > 1 && !path.segments) {
      this.#sendSingly(path, batch);
    } else {
      batch.seal();
      this.#sendWhole(path, batch);
    }
    batch.clear();
  }

  #count(path: OutboundPath, datagrams: number, bytes: number): void {
    const { counters, counterAt } = path;
    counters[counterAt + OutboundPathCounter.packets]! += datagrams;
    counters[counterAt + OutboundPathCounter.bytes]! += bytes;
  }

  #drop(path: OutboundPath, datagrams: number): void {
    path.counters[path.counterAt + OutboundPathCounter.dropped]! += datagrams;
  }

  #sendWhole(path: OutboundPath, batch: PathBatch): void {
    const address = this.#memory.addressAt(batch.message);
    let repeats = 0;
    for (;;) {
      path.counters[path.counterAt + OutboundPathCounter.sends]!++;
      if (this.#sendmsg(path.fd, address, FLAGS) >= 0) {
        this.#count(path, batch.datagrams, batch.bytes);
        return;
      }
      const errno = lastErrno();
      if (errno === EINTR) continue;
      if (errno === EAGAIN && this.#waitForRoom(path)) continue;
      if (batch.datagrams > 1 && (errno === EINVAL || errno === EIO || errno === EOPNOTSUPP)) {
        // EINVAL may also mean that the datagrams are too long, which shows when they go singly.
        if (this.#sendSingly(path, batch)) this.#giveUpSegments(path);
        return;
      }
      if (errno !== EAGAIN && repeats++ < REPEATS) continue;
      if (errno === EMSGSIZE) this.#tellTooLong(path, batch.datagramBytes);
      this.#drop(path, batch.datagrams);
      return;
    }
  }

  #giveUpSegments(path: OutboundPath): void {
    path.segments = false;
    this.#events.send({
      kind: 'trouble',
      text: `path ${path.index} of connection ${path.connection}: the kernel does not segment UDP there, so that each datagram is a message of its own`,
    });
  }

  /** One message a datagram; whether all were sent. */
  #sendSingly(path: OutboundPath, batch: PathBatch): boolean {
    batch.writeSingly(this.#messages);
    const total = batch.datagrams;
    let done = 0;
    let dropped = 0;
    let repeats = 0;
    while (done < total) {
      const address = this.#memory.addressAt(this.#messages + done * MMSGHDR_BYTES);
      path.counters[path.counterAt + OutboundPathCounter.sends]!++;
      const sent = libc.sendmmsgAt(path.fd, address, total - done, FLAGS);
      if (sent > 0) {
        done += sent;
        repeats = 0;
        continue;
      }
      const errno = lastErrno();
      if (errno === EINTR) continue;
      if (errno === EAGAIN) {
        if (this.#waitForRoom(path)) continue;
        dropped += total - done;
        break;
      }
      if (repeats++ < REPEATS) continue;
      if (errno === EMSGSIZE) this.#tellTooLong(path, batch.datagramBytes);
      repeats = 0;
      dropped++;
      done++;
    }
    const sent = total - dropped;
    if (sent > 0) {
      // Only the last may be shorter; if any was dropped, how many bytes went is near enough.
      this.#count(path, sent, dropped === 0 ? batch.bytes : sent * batch.datagramBytes);
    }
    if (dropped > 0) this.#drop(path, dropped);
    return dropped === 0;
  }

  #tellTooLong(path: OutboundPath, bytes: number): void {
    const nowMs = this.#events.nowMs();
    if (nowMs - path.tooLongToldMs < TOO_LONG_INTERVAL_MS) return;
    path.tooLongToldMs = nowMs;
    this.#events.send({ kind: 'too-long', id: path.connection, path: path.index, bytes });
  }

  /** Waits until the full socket takes more; false when it did not in time, or was not waited for. */
  #waitForRoom(path: OutboundPath): boolean {
    const nowMs = this.#events.nowMs();
    if (nowMs < path.stuckUntilMs) return false;
    this.#pollView.setInt32(0, path.fd, true);
    this.#pollView.setUint32(4, POLLOUT, true);
    if (libc.poll(this.#poll, 1, FULL_WAIT_MS) > 0) return true;
    path.stuckUntilMs = nowMs + STUCK_MS;
    return false;
  }
}
