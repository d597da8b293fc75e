/**
 * One netlink socket for requests and dumps. A request is synchronous: the kernel has done the work and queued
 * its answer when `send` returns, so there is nothing to wait for.
 *
 * Invariants: an answer belongs to the request whose sequence number it bears, everything else is skipped and
 * counted; a dump that the kernel marks as interrupted (NLM_F_DUMP_INTR) is begun again, so a returned dump is
 * a consistent one. Events come through EventSocket (event-socket.ts), never here.
 *
 * References: netlink(7); Documentation/userspace-api/netlink/intro.rst ("Dump consistency", "Strict checking").
 */
import { WeftError } from '../base/errors.ts';
import {
  closeFd,
  EAGAIN,
  EINTR,
  ENOBUFS,
  lastErrno,
  libc,
  MSG_TRUNC,
  setSocketOption,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_SOCKET,
  SystemError,
  trySetIntOption,
} from '../native/index.ts';
import { align4, u16At, u32At } from './attributes.ts';
import { NetlinkError } from './errors.ts';
import {
  emitMessage,
  emitMessages,
  HEADER_BYTES,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  parseMessages,
  parseVerdict,
  type NetlinkMessage,
  type NetlinkRequest,
} from './message.ts';
import { openNetlinkSocket, type NetlinkSocketOptions } from './netlink-socket.ts';

export type { NetlinkSocketOptions } from './netlink-socket.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_GENERIC = 16;

const SO_RCVTIMEO_NEW = 66;

/** The kernel sends dumps in pieces of at most 32 KiB, or as large as the last receive buffer it saw. */
const READ_BYTES = 1 << 16;
/** Answers share blocks of memory: many are small, and one block costs no more than one small array. */
const BLOCK_BYTES = 4 * READ_BYTES;
/** Enough for nearly every request; grows when one is larger. */
const SEND_BYTES = 1 << 12;
/** What a socket's send buffer takes at least (net.core.wmem_default is larger everywhere). */
const SURE_SEND_BYTES = 1 << 16;
const ANSWER_TIMEOUT_S = 20n;
/** BOUNDED: how often an interrupted dump is begun again. */
const MAX_DUMP_TRIES = 64;

interface Answer {
  readonly messages: NetlinkMessage[];
  readonly interrupted: boolean;
}

const LAST_SEQUENCE = 0x7fffffff;
/** BOUNDED: how many answers may wait in the receive buffer at once. */
const GETS_TOGETHER = 64;

/** What opens or closes a batch. */
export interface BatchFrame {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** One datagram of a dump: its messages, headers included, stand before `to`. */
export interface DumpPiece {
  readonly bytes: Uint8Array;
  readonly to: number;
}

const align8 = (length: number) => (length + 7) & ~7;

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

const outsideHeap = (lengthBytes: number) => new Uint8Array(new ArrayBuffer(lengthBytes));

export class NetlinkConnection {
  readonly #fd: number;
  /** What is left of the block that answers are read into. */
  #memory = outsideHeap(BLOCK_BYTES);
  /** What `dumpPieces` reads into, again and again. */
  #pieces: Uint8Array<ArrayBuffer> | undefined;
  #sendBuffer = outsideHeap(SEND_BYTES);
  #sequence = 0;
  #closed = false;
  /** Messages that belonged to no request of ours. */
  strayMessages = 0;
  /** Dumps that were begun again because the kernel's tables changed meanwhile. */
  restartedDumps = 0;

  constructor(protocol: number, options: NetlinkSocketOptions = {}) {
    this.#fd = openNetlinkSocket(protocol, options);
    // A kernel that does not answer would otherwise hang the program.
    const timeout = new Uint8Array(16);
    new DataView(timeout.buffer).setBigInt64(0, ANSWER_TIMEOUT_S, true);
    setSocketOption(this.#fd, SOL_SOCKET, SO_RCVTIMEO_NEW, timeout);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence % LAST_SEQUENCE) + 1;
    return this.#sequence;
  }

  #send(bytes: Uint8Array, operation: string): void {
    if (this.#closed)
      throw new WeftError(`${operation}: the netlink connection is closed`, { code: 'CLOSED' });
    // Small arrays live on V8's heap, and giving one to a native call moves it out first, which takes longer than
    // the call: requests are sent from memory that is outside already.
    if (bytes.length > this.#sendBuffer.length) this.#sendBuffer = outsideHeap(bytes.length);
    this.#sendBuffer.set(bytes);
    for (;;) {
      if (libc.send(this.#fd, this.#sendBuffer, bytes.length, 0) >= 0) return;
      const errno = lastErrno();
      if (errno !== EINTR) throw new SystemError(operation, errno);
    }
  }

  /** The messages of the next datagram: views of memory that is not written to again. */
  #receive(operation: string): NetlinkMessage[] {
    return parseMessages(this.#receiveBytes(operation));
  }

  /** The next datagram, in memory that is not written to again. */
  #receiveBytes(operation: string): Uint8Array {
    if (this.#memory.length < READ_BYTES) this.#memory = outsideHeap(BLOCK_BYTES);
    const length = this.#receiveInto(this.#memory, operation);
    const datagram = this.#memory.subarray(0, length);
    this.#memory = this.#memory.subarray(align8(length));
    return datagram;
  }

  /** Reads the next datagram, of READ_BYTES at most. @returns its length */
  #receiveInto(memory: Uint8Array, operation: string): number {
    for (;;) {
      const length = libc.recv(this.#fd, memory, READ_BYTES, MSG_TRUNC);
      if (length > READ_BYTES) {
        throw new WeftError(`${operation}: the kernel's answer of ${length} bytes is larger than expected`, {
          code: 'TRUNCATED',
        });
      }
      if (length >= 0) return length;
      const errno = lastErrno();
      if (errno === EAGAIN) {
        throw new WeftError(`${operation}: the kernel did not answer in ${ANSWER_TIMEOUT_S} s`, {
          code: 'ETIMEDOUT',
        });
      }
      if (errno !== EINTR) throw new SystemError(operation, errno);
    }
  }

  /** Collects what answers `sequence`, up to its end; throws when that end is a refusal. */
  #collect(sequence: number, operation: string, ends: 'ack' | 'first' | 'done'): Answer {
    const messages: NetlinkMessage[] = [];
    let interrupted = false;
    for (;;) {
      for (const message of this.#receive(operation)) {
        if (message.sequence !== sequence) {
          this.strayMessages++;
          continue;
        }
        interrupted ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const verdict = parseVerdict(message);
          const inDump = message.type === NLMSG_DONE;
          if (verdict.errno !== 0) throw new NetlinkError(operation, verdict, { inDump });
          return { messages, interrupted };
        }
        if (message.type === NLMSG_NOOP) continue;
        messages.push(message);
        if (ends === 'first') return { messages, interrupted };
      }
    }
  }

  /**
   * Sends one request and waits for its acknowledgement.
   * @param operation what the request does, for the message of an error
   * @returns the messages that came before the acknowledgement
   * @throws NetlinkError when the kernel refuses
   */
  request(type: number, flags: number, payload: Uint8Array, operation: string): NetlinkMessage[] {
    const sequence = this.#nextSequence();
    this.#send(emitMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, payload), operation);
    return this.#collect(sequence, operation, 'ack').messages;
  }

  /** Sends a request whose answer is one message, without asking for an acknowledgement. */
  get(type: number, flags: number, payload: Uint8Array, operation: string): NetlinkMessage {
    const sequence = this.#nextSequence();
    this.#send(emitMessage(type, flags | NLM_F_REQUEST, sequence, payload), operation);
    const [message] = this.#collect(sequence, operation, 'first').messages;
    if (message === undefined)
      throw new WeftError(`${operation}: the kernel sent an empty answer`, { code: 'EMPTY' });
    return message;
  }

  /**
   * Like `get` for many payloads, sent together: the kernel answers them in order, and one system call carries up
   * to `GETS_TOGETHER` of them. For reading only, because nothing can be decided between one and the next.
   * @returns for each payload its answer, or the error that `get` would throw
   */
  getEach(
    type: number,
    flags: number,
    payloads: readonly Uint8Array[],
    operation: string,
  ): (NetlinkMessage | NetlinkError)[] {
    const results: (NetlinkMessage | NetlinkError)[] = [];
    for (let from = 0; from < payloads.length; from += GETS_TOGETHER) {
      const part = payloads.slice(from, from + GETS_TOGETHER);
      if (this.#sequence > LAST_SEQUENCE - part.length) this.#sequence = 0;
      const first = this.#sequence + 1;
      this.#send(emitMessages(type, flags | NLM_F_REQUEST, first, part), operation);
      this.#sequence += part.length;
      this.#collectEach(first, part.length, operation, results);
    }
    return results;
  }

  /** Appends one result for each of `count` sequence numbers from `first` on. */
  #collectEach(
    first: number,
    count: number,
    operation: string,
    results: (NetlinkMessage | NetlinkError)[],
  ): void {
    for (let sequence = first; sequence < first + count;) {
      for (const message of this.#receive(operation)) {
        if (message.sequence !== sequence) {
          this.strayMessages++;
          continue;
        }
        if (message.type === NLMSG_NOOP) continue;
        const refused = message.type === NLMSG_ERROR;
        results.push(refused ? new NetlinkError(operation, parseVerdict(message)) : message);
        sequence++;
      }
    }
  }

  /**
   * Sends requests of which the kernel carries out all or none, between the messages that open and close their batch
   * (nfnetlink), and waits for its verdicts.
   * @throws NetlinkError of the first that the kernel refuses; nothing has changed then
   */
  transaction(begin: BatchFrame, requests: readonly NetlinkRequest[], end: BatchFrame): void {
    const last = requests.at(-1);
    if (last === undefined) return;
    const count = requests.length + 2;
    if (this.#sequence > LAST_SEQUENCE - count) this.#sequence = 0;
    const first = this.#sequence + 1;
    const parts = [
      emitMessage(begin.type, NLM_F_REQUEST, first, begin.payload),
      ...requests.map(({ type, flags, payload }, i) =>
        // A refusal comes in any case, and of a large batch not more answers than needed.
        emitMessage(
          type,
          flags | NLM_F_REQUEST | (i === requests.length - 1 ? NLM_F_ACK : 0),
          first + 1 + i,
          payload,
        ),
      ),
      emitMessage(end.type, NLM_F_REQUEST, first + count - 1, end.payload),
    ];
    this.#sequence += count;
    const bytes = joinBytes(parts);
    this.#makeRoom(bytes.length);
    this.#send(bytes, last.operation);
    const refusal = this.#collectVerdicts(first, requests);
    if (refusal !== undefined) throw refusal;
  }

  /** A batch is one datagram. Best effort: what is still too large is told when it is sent. */
  #makeRoom(bytes: number): void {
    if (bytes <= SURE_SEND_BYTES) return;
    if (!trySetIntOption(this.#fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes)) {
      trySetIntOption(this.#fd, SOL_SOCKET, SO_SNDBUF, bytes);
    }
  }

  /**
   * The first refusal among the verdicts of a batch. The kernel tells what concerns the whole batch under the number
   * of its begin, before the verdicts of the requests, and then perhaps without them. The last request is answered
   * in any case.
   */
  #collectVerdicts(first: number, requests: readonly NetlinkRequest[]): NetlinkError | undefined {
    let refusal: NetlinkError | undefined;
    for (;;) {
      for (const message of this.#receive(requests[0]!.operation)) {
        const index = message.sequence - first - 1;
        if (index < -1 || index >= requests.length || message.type !== NLMSG_ERROR) {
          this.strayMessages++;
          continue;
        }
        const verdict = parseVerdict(message);
        if (index === -1 && verdict.errno !== 0) {
          return new NetlinkError(requests[0]!.operation, verdict);
        }
        if (index >= 0 && verdict.errno !== 0) {
          refusal ??= new NetlinkError(requests[index]!.operation, verdict);
        }
        if (index === requests.length - 1) return refusal;
      }
    }
  }

  /** Reads a whole table. UNBOUNDED: as long as the kernel's table, which the kernel bounds. */
  dump(type: number, payload: Uint8Array, operation: string): NetlinkMessage[] {
    for (let tries = 0; tries < MAX_DUMP_TRIES; tries++) {
      const sequence = this.#nextSequence();
      this.#send(emitMessage(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload), operation);
      try {
        const answer = this.#collect(sequence, operation, 'done');
        if (!answer.interrupted) return answer.messages;
      } catch (error) {
        // The dump did not fit the receive buffer; what is left of it bears an old sequence number.
        if (!(error instanceof SystemError && error.errno === ENOBUFS)) throw error;
      }
      this.restartedDumps++;
    }
    throw new WeftError(`${operation}: the table changed during each of ${MAX_DUMP_TRIES} readings`, {
      code: 'DUMP_INTERRUPTED',
      hint: 'something changes it all the time; try again when that has ended',
    });
  }

  /**
   * Reads a whole table without keeping any of it, for tables that are read again and again: one piece of memory, no
   * object for each message, and a pause wherever the caller wants one. Until it has ended, this connection can do
   * nothing else; who gives it up closes the connection. Unlike `dump` it is not begun again when the table changed.
   * @returns each datagram's messages, to be read before the next is asked for; at last whether the kernel said that
   *   the table changed while it was read
   */
  *dumpPieces(type: number, payload: Uint8Array, operation: string): Generator<DumpPiece, boolean> {
    const sequence = this.#nextSequence();
    this.#send(emitMessage(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload), operation);
    const bytes = (this.#pieces ??= outsideHeap(READ_BYTES));
    let interrupted = false;
    for (let ended = false; !ended;) {
      const length = this.#receiveInto(bytes, operation);
      if (length < HEADER_BYTES || u32At(bytes, 8) !== sequence) {
        this.strayMessages++;
        continue;
      }
      let to = 0;
      for (let end = 0; to + HEADER_BYTES <= length; to = align4(end)) {
        end = to + u32At(bytes, to);
        if (end < to + HEADER_BYTES || end > length) break;
        interrupted ||= (u16At(bytes, to + 6) & NLM_F_DUMP_INTR) !== 0;
        const kind = u16At(bytes, to + 4);
        if (kind !== NLMSG_DONE && kind !== NLMSG_ERROR) continue;
        const verdict = parseVerdict(parseMessages(bytes.subarray(to, end))[0]!);
        if (verdict.errno !== 0) throw new NetlinkError(operation, verdict, { inDump: kind === NLMSG_DONE });
        ended = true;
        break;
      }
      if (to > 0) yield { bytes, to: Math.min(to, length) };
    }
    return interrupted;
  }
}
