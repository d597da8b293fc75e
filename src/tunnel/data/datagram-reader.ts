/**
 * Reads what waits at a UDP socket, up to `MESSAGES` messages with one system call (recvmmsg), each of which the kernel
 * may have made of many datagrams of one sender and size (UDP_GRO, <linux/udp.h>).
 *
 *   struct mmsghdr (64 bytes)  0 msghdr (packet-memory.ts) | 56 length u32
 *   name     sockaddr_in or sockaddr_in6 of the sender
 *   control  cmsghdr: 0 length u64 | 8 level | 12 type | 16 UDP_GRO: bytes of a datagram, int
 *
 * Invariant: the kernel gets only buffers that no slot holds. Valid until the next `read`: everything but the packets
 * that slots were taken for.
 */
import { EAGAIN, EINTR, lastErrno, libc, MSG_TRUNC, SOL_UDP, UDP_GRO } from '../../native/index.ts';
import {
  MSGHDR_BYTES,
  MSGHDR_CONTROL,
  MSGHDR_CONTROL_LENGTH,
  MSGHDR_FLAGS,
  MSGHDR_IOVEC,
  MSGHDR_IOVEC_COUNT,
  MSGHDR_NAME,
  MSGHDR_NAME_LENGTH,
  IOVEC_BYTES,
  type PacketMemory,
} from './packet-memory.ts';
import { BUFFER_BYTES, type PacketSlots } from './packet-slots.ts';

/** BOUNDED: messages of a read. */
export const MESSAGES = 4;

const MMSGHDR_BYTES = MSGHDR_BYTES + 8;
const NAME_BYTES = 32;
/** UDP_GRO and whatever else the socket was asked to tell. */
const CONTROL_BYTES = 128;
const CMSG_LEVEL = 8;
const CMSG_TYPE = 12;
const CMSG_DATA = 16;

/** What the reader reserves of the memory. */
export const READER_MEMORY_BYTES =
  MESSAGES * (MMSGHDR_BYTES + NAME_BYTES + CONTROL_BYTES + IOVEC_BYTES) + 4 * 64;

export class DatagramReader {
  readonly #memory: PacketMemory;
  readonly #slots: PacketSlots;
  readonly #headersAt: number;
  readonly #headersAddress: number;
  readonly #namesAt: number;
  readonly #controlsAt: number;
  readonly #vectorsAt: number;
  /** Buffer of each message. */
  readonly buffers = new Int32Array(MESSAGES);

  constructor(memory: PacketMemory, slots: PacketSlots) {
    this.#memory = memory;
    this.#slots = slots;
    this.#headersAt = memory.reserve(MESSAGES * MMSGHDR_BYTES);
    this.#headersAddress = memory.addressAt(this.#headersAt);
    this.#namesAt = memory.reserve(MESSAGES * NAME_BYTES);
    this.#controlsAt = memory.reserve(MESSAGES * CONTROL_BYTES);
    this.#vectorsAt = memory.reserve(MESSAGES * IOVEC_BYTES);
    for (let i = 0; i < MESSAGES; i++) {
      const header = this.#headersAt + i * MMSGHDR_BYTES;
      memory.writePointer(header + MSGHDR_NAME, this.#namesAt + i * NAME_BYTES);
      memory.writePointer(header + MSGHDR_IOVEC, this.#vectorsAt + i * IOVEC_BYTES);
      memory.writeLength(header + MSGHDR_IOVEC_COUNT, 1);
      memory.writePointer(header + MSGHDR_CONTROL, this.#controlsAt + i * CONTROL_BYTES);
      this.#resetHeader(i);
      this.#giveBuffer(i, slots.lendBuffer());
    }
  }

  /**
   * Reads what waits. How many messages there are, 0 when none; a negative errno otherwise. `MESSAGES` buffers have to
   * be free.
   */
  read(fd: number): number {
    for (let i = 0; i < MESSAGES; i++) {
      const buffer = this.buffers[i]!;
      if (this.#slots.isUnused(buffer)) continue;
      this.#slots.returnBuffer(buffer);
      this.#giveBuffer(i, this.#slots.lendBuffer());
    }
    const count = libc.recvmmsgAt(fd, this.#headersAddress, MESSAGES, 0, 0);
    if (count >= 0) return count;
    const errno = lastErrno();
    return errno === EAGAIN || errno === EINTR ? 0 : -errno;
  }

  lengthOf(message: number): number {
    return this.#memory.words[(this.#headersAt + message * MMSGHDR_BYTES + MSGHDR_BYTES) >>> 2]!;
  }

  /** Bytes of each datagram of the message; the last may be shorter. */
  datagramBytesOf(message: number): number {
    const { words } = this.#memory;
    const header = (this.#headersAt + message * MMSGHDR_BYTES) >>> 2;
    const control = (this.#controlsAt + message * CONTROL_BYTES) >>> 2;
    if (
      words[header + (MSGHDR_CONTROL_LENGTH >>> 2)]! > CMSG_DATA &&
      words[control + (CMSG_LEVEL >>> 2)] === SOL_UDP &&
      words[control + (CMSG_TYPE >>> 2)] === UDP_GRO
    ) {
      const bytes = words[control + (CMSG_DATA >>> 2)]!;
      if (bytes > 0) return bytes;
    }
    return this.lengthOf(message);
  }

  isCutShort(message: number): boolean {
    const at = this.#headersAt + message * MMSGHDR_BYTES + MSGHDR_FLAGS;
    return (this.#memory.words[at >>> 2]! & MSG_TRUNC) !== 0;
  }

  /** Offset of the sender's sockaddr. */
  senderAt(message: number): number {
    return this.#namesAt + message * NAME_BYTES;
  }

  /** To be called for each message of a read when it was dealt with. */
  done(message: number): void {
    this.#resetHeader(message);
  }

  #resetHeader(message: number): void {
    const { words } = this.#memory;
    const header = (this.#headersAt + message * MMSGHDR_BYTES) >>> 2;
    words[header + (MSGHDR_NAME_LENGTH >>> 2)] = NAME_BYTES;
    words[header + (MSGHDR_CONTROL_LENGTH >>> 2)] = CONTROL_BYTES;
  }

  #giveBuffer(message: number, buffer: number): void {
    this.buffers[message] = buffer;
    this.#memory.writeIovec(
      this.#vectorsAt + message * IOVEC_BYTES,
      this.#slots.bufferAt(buffer),
      BUFFER_BYTES,
    );
  }
}

/** Takes entries from sockets' queues of errors (MSG_ERRQUEUE, ip(7)), which nobody reads for what they say. */
export class ErrorQueue {
  readonly #address: number;

  constructor(memory: PacketMemory) {
    this.#address = memory.addressAt(memory.reserve(MSGHDR_BYTES));
  }

  /** `false` when there was none. */
  readError(fd: number, flags: number): boolean {
    return libc.recvmsgAt(fd, this.#address, flags) >= 0;
  }
}
