/**
 * Datagrams for one path, gathered into one sendmsg: with UDP_SEGMENT (<linux/udp.h>) the kernel makes of one message as
 * many datagrams of equal size as fit, of which only the last may be shorter. Works in packet memory; does no system
 * call (path-sender.ts) and knows no path.
 *
 * Each datagram is two vectors, so that headers are made beside payloads that stay where they were read:
 *
 *   msghdr ─► name, iovec[0] header 0, iovec[1] payload 0, iovec[2] header 1, … ─► control: UDP_SEGMENT, bytes
 *
 * Invariant: all datagrams but the last have `datagramBytes`, the last has at most as many. BOUNDED: `DATAGRAMS_MAX`
 * and `BYTES_MAX`.
 */
import {
  IOVEC_BYTES,
  MSGHDR_BYTES,
  MSGHDR_CONTROL,
  MSGHDR_CONTROL_LENGTH,
  MSGHDR_IOVEC,
  MSGHDR_IOVEC_COUNT,
  MSGHDR_NAME,
  MSGHDR_NAME_LENGTH,
  type PacketMemory,
} from './packet-memory.ts';

/** UDP_MAX_SEGMENTS of kernels before 6.9; newer ones take 128. */
export const DATAGRAMS_MAX = 64;
/** Of one message; the kernel takes 65,507 over IPv4. */
export const BYTES_MAX = 65_000;

const SOCKADDR_BYTES_MAX = 28;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
/** CMSG_LEN and CMSG_SPACE of a u16. */
const CONTROL_LENGTH = 18;
const CONTROL_SPACE = 24;
const CONTROL_DATA = 16;

export class PathBatch {
  readonly #memory: PacketMemory;
  /** Offsets in the memory. */
  readonly message: number;
  readonly iovec: number;
  readonly name: number;
  readonly #control: number;
  nameBytes = 0;
  datagrams = 0;
  bytes = 0;
  /** Of every datagram but the last. */
  datagramBytes = 0;
  #isClosed = false;

  constructor(memory: PacketMemory) {
    this.#memory = memory;
    this.message = memory.reserve(MSGHDR_BYTES);
    this.name = memory.reserve(SOCKADDR_BYTES_MAX);
    this.#control = memory.reserve(CONTROL_SPACE);
    this.iovec = memory.reserve(2 * DATAGRAMS_MAX * IOVEC_BYTES);
    memory.writePointer(this.message + MSGHDR_NAME, this.name);
    memory.writePointer(this.message + MSGHDR_IOVEC, this.iovec);
    memory.writePointer(this.message + MSGHDR_CONTROL, this.#control);
    memory.writeLength(this.#control, CONTROL_LENGTH);
    memory.view.setInt32(this.#control + 8, SOL_UDP, true);
    memory.view.setInt32(this.#control + 12, UDP_SEGMENT, true);
  }

  /** Begins with nothing, for datagrams to this address. */
  begin(sockaddr: Uint8Array): void {
    this.clear();
    this.nameBytes = Math.min(sockaddr.length, SOCKADDR_BYTES_MAX);
    this.#memory.bytes.set(sockaddr, this.name);
    this.#memory.words[(this.message + MSGHDR_NAME_LENGTH) >>> 2] = this.nameBytes;
  }

  clear(): void {
    this.datagrams = 0;
    this.bytes = 0;
    this.#isClosed = false;
  }

  /** Whether a datagram of so many bytes may follow those that are in. */
  accepts(datagramBytes: number): boolean {
    if (this.datagrams === 0) return true;
    return (
      !this.#isClosed &&
      datagramBytes <= this.datagramBytes &&
      this.datagrams < DATAGRAMS_MAX &&
      this.bytes + datagramBytes <= BYTES_MAX
    );
  }

  /** Only what it accepts. Both pieces stay where they are until the message was sent. */
  add(header: number, headerBytes: number, payload: number, payloadBytes: number): void {
    const datagramBytes = headerBytes + payloadBytes;
    const at = this.iovec + this.datagrams * 2 * IOVEC_BYTES;
    this.#memory.writeIovec(at, header, headerBytes);
    this.#memory.writeIovec(at + IOVEC_BYTES, payload, payloadBytes);
    if (this.datagrams === 0) this.datagramBytes = datagramBytes;
    else if (datagramBytes < this.datagramBytes) this.#isClosed = true;
    this.datagrams++;
    this.bytes += datagramBytes;
  }

  /** Finishes the message header; `message` is ready for sendmsg then. */
  seal(): void {
    const { view } = this.#memory;
    this.#memory.writeLength(this.message + MSGHDR_IOVEC_COUNT, 2 * this.datagrams);
    const isSegmented = this.datagrams > 1;
    this.#memory.writeLength(this.message + MSGHDR_CONTROL_LENGTH, isSegmented ? CONTROL_SPACE : 0);
    if (isSegmented) view.setUint16(this.#control + CONTROL_DATA, this.datagramBytes, true);
  }

  /** Writes `datagrams` of struct mmsghdr from `at` on: one message each, for kernels that cannot segment. */
  writeSingly(at: number): void {
    const memory = this.#memory;
    for (let i = 0; i < this.datagrams; i++) {
      const message = at + i * MMSGHDR_BYTES;
      memory.bytes.fill(0, message, message + MMSGHDR_BYTES);
      memory.writePointer(message + MSGHDR_NAME, this.name);
      memory.words[(message + MSGHDR_NAME_LENGTH) >>> 2] = this.nameBytes;
      memory.writePointer(message + MSGHDR_IOVEC, this.iovec + i * 2 * IOVEC_BYTES);
      memory.writeLength(message + MSGHDR_IOVEC_COUNT, 2);
    }
  }
}

/** struct mmsghdr: a message header and what was sent. */
export const MMSGHDR_BYTES = 64;
