/**
 * A netlink socket that only listens: multicast groups, read on the main thread through the reactor. When the
 * kernel had to drop messages (ENOBUFS) the owner is told, so that it reads everything anew.
 */
import {
  closeFd,
  EAGAIN,
  EINTR,
  ENOBUFS,
  EPOLLIN,
  lastErrno,
  libc,
  MSG_TRUNC,
  reactor,
  SOCK_NONBLOCK,
  SystemError,
  type Watch,
} from '../native/index.ts';
import { parseMessages, type NetlinkMessage } from './message.ts';
import { joinGroup, openNetlinkSocket, type NetlinkSocketOptions } from './netlink-socket.ts';

export interface EventHandlers {
  readonly onMessage: (message: NetlinkMessage) => void;
  /** Messages were lost; what is known is stale. */
  readonly onOverrun: () => void;
  /** Many messages have been given, or all that were waiting (`empty`); a good moment to write output. */
  readonly onDrained?: (empty: boolean) => void;
}

/** Events must survive a busy moment of this process: thousands of them fit. */
const EVENT_BUFFER_BYTES = 8 << 20;
const READ_BYTES = 1 << 16;
/** Messages share blocks of memory: an array of its own for each costs more than reading it. */
const BLOCK_BYTES = 4 * READ_BYTES;
/** BOUNDED: datagrams read in one turn, so that other descriptors get theirs. */
const DATAGRAMS_PER_TURN = 256;

export interface Group {
  readonly id: number;
  readonly name: string;
}

/**
 * Handlers may close it; nothing is called after that. What a handler throws becomes an uncaught exception, and the
 * next message comes all the same.
 */
export class EventSocket {
  readonly #fd: number;
  readonly #handlers: EventHandlers;
  /** What is left of the block that is read into; what was read is not written to again. */
  #memory = new Uint8Array(new ArrayBuffer(BLOCK_BYTES));
  #watch: Watch | undefined;
  /** How often the kernel dropped messages. */
  overruns = 0;

  /**
   * Opens the socket and joins the groups; what is sent to them from now on is given to the handlers.
   * @throws SystemError EPERM for groups that need CAP_NET_ADMIN
   */
  constructor(
    protocol: number,
    groups: readonly Group[],
    handlers: EventHandlers,
    options: NetlinkSocketOptions = {},
  ) {
    this.#handlers = handlers;
    this.#fd = openNetlinkSocket(
      protocol,
      { receiveBufferBytes: EVENT_BUFFER_BYTES, ...options },
      SOCK_NONBLOCK,
    );
    try {
      for (const group of groups) joinGroup(this.#fd, group.id, group.name);
      this.#watch = reactor.watch(this.#fd, EPOLLIN, () => this.#runReads());
    } catch (error) {
      closeFd(this.#fd);
      throw error;
    }
  }

  #runReads(): void {
    let empty = false;
    for (let i = 0; i < DATAGRAMS_PER_TURN && this.#watch !== undefined; i++) {
      if (this.#memory.length < READ_BYTES) this.#memory = new Uint8Array(new ArrayBuffer(BLOCK_BYTES));
      const length = libc.recv(this.#fd, this.#memory, READ_BYTES, MSG_TRUNC);
      if (length < 0) {
        const errno = lastErrno();
        if (errno === EINTR) continue;
        if (errno === EAGAIN) {
          empty = true;
          break;
        }
        if (errno !== ENOBUFS) throw new SystemError('receive netlink events', errno);
      }
      // Refused or cut: either way messages are lost.
      if (length < 0 || length > READ_BYTES) {
        this.overruns++;
        this.#handlers.onOverrun();
        continue;
      }
      const datagram = this.#memory.subarray(0, length);
      this.#memory = this.#memory.subarray((length + 7) & ~7);
      for (const message of parseMessages(datagram)) {
        if (this.#watch !== undefined) this.#handlers.onMessage(message);
      }
    }
    if (this.#watch !== undefined) this.#handlers.onDrained?.(empty);
  }

  close(): void {
    if (this.#watch === undefined) return;
    this.#watch.close();
    this.#watch = undefined;
    closeFd(this.#fd);
  }
}
