/**
 * The memory that a thread of the data plane works in: packets, headers, vectors for system calls, all at fixed places
 * of one WebAssembly memory, so that checksums run over them where they lie (SIMD), and addresses for the kernel are
 * one addition. One object a thread, made at its start.
 *
 * Invariants: the memory never grows, so its address stays; regions are reserved at the start and never given back; its
 * addresses do not cross a border of 4 GiB, so an address is written as two 32-bit words of which the upper is constant.
 * Nothing here allocates after the constructor.
 */
import { addressOf } from '../../native/index.ts';
import { WeftError } from '../../base/index.ts';
import { ChecksumTwin, type Checksums } from './checksum-twin.ts';
import { makeChecksums } from './checksum.ts';
import { webAssembly, type WasmMemory } from './web-assembly.ts';

const PAGE_BYTES = 65_536;
const FOUR_GIB = 2 ** 32;
/** The chance to lie across a border is 1 in 100 for 40 MiB. */
const ATTEMPTS = 8;

export const IOVEC_BYTES = 16;
/** Bytes of struct msghdr and its places (<bits/socket.h>, 64 bits). */
export const MSGHDR_BYTES = 56;
export const MSGHDR_NAME = 0;
export const MSGHDR_NAME_LENGTH = 8;
export const MSGHDR_IOVEC = 16;
export const MSGHDR_IOVEC_COUNT = 24;
export const MSGHDR_CONTROL = 32;
export const MSGHDR_CONTROL_LENGTH = 40;
export const MSGHDR_FLAGS = 48;

interface Allocation {
  /** Absent in an engine without WebAssembly. */
  readonly wasm?: WasmMemory;
  readonly buffer: ArrayBuffer;
  readonly address: number;
}

function allocateOnce(pages: number): Allocation {
  const wasm = webAssembly && new webAssembly.Memory({ initial: pages, maximum: pages });
  const buffer = wasm?.buffer ?? new ArrayBuffer(pages * PAGE_BYTES);
  const address = Number(addressOf(new Uint8Array(buffer)));
  return wasm === undefined ? { buffer, address } : { wasm, buffer, address };
}

function allocate(pages: number): Allocation {
  // Those across a border are kept until the end, so that the next one lies elsewhere.
  const passed: Allocation[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const allocation = allocateOnce(pages);
    if ((allocation.address % FOUR_GIB) + pages * PAGE_BYTES <= FOUR_GIB) return allocation;
    passed.push(allocation);
  }
  throw new WeftError(`no memory of ${pages * PAGE_BYTES} bytes was found between two borders of 4 GiB`, {
    code: 'NO_PACKET_MEMORY',
    hint: 'start again; if it stays, limit what else runs on this machine',
  });
}

export class PacketMemory {
  /** All bytes. */
  readonly bytes: Uint8Array;
  /** The same, for fields in network order. */
  readonly view: DataView;
  /** The same, as words of the machine's order; index = offset / 4. */
  readonly words: Uint32Array;
  readonly lengthBytes: number;
  /** Address of offset 0; exact, because addresses have 47 bits. */
  readonly address: number;
  readonly #addressLow: number;
  readonly #addressHigh: number;
  readonly #sums: Checksums;
  #reserved = 0;

  /** Fails with NO_PACKET_MEMORY, or RangeError when the system has no memory left. */
  constructor(lengthBytes: number) {
    const pages = Math.ceil(lengthBytes / PAGE_BYTES);
    const { buffer, wasm, address } = allocate(pages);
    this.address = address;
    this.lengthBytes = pages * PAGE_BYTES;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Uint32Array(buffer);
    this.#addressLow = address % FOUR_GIB;
    this.#addressHigh = Math.floor(address / FOUR_GIB);
    this.#sums = makeChecksums(buffer, wasm);
  }

  /**
   * A region of its own, zeros; returns its offset. For the start of a thread, not for packets.
   * @throws WeftError NO_PACKET_MEMORY when the memory is used up: a size in the code is wrong
   */
  reserve(lengthBytes: number, alignment = 64): number {
    const at = Math.ceil(this.#reserved / alignment) * alignment;
    if (at + lengthBytes > this.lengthBytes) {
      throw new WeftError(
        `packet memory of ${this.lengthBytes} bytes has no room for ${lengthBytes} more after ${at}`,
        {
          code: 'NO_PACKET_MEMORY',
        },
      );
    }
    this.#reserved = at + lengthBytes;
    return at;
  }

  /** Address of an offset, for system calls that take one (`libc.readAt` …). */
  addressAt(at: number): number {
    return this.address + at;
  }

  /** Writes the address of offset `target` as a pointer at `at` (a multiple of 4). */
  writePointer(at: number, target: number): void {
    const word = at >>> 2;
    this.words[word] = this.#addressLow + target;
    this.words[word + 1] = this.#addressHigh;
  }

  /** Writes a 64-bit length below 2^32 at `at` (a multiple of 4). */
  writeLength(at: number, length: number): void {
    const word = at >>> 2;
    this.words[word] = length;
    this.words[word + 1] = 0;
  }

  /** Writes struct iovec at `at` (a multiple of 4): `length` bytes from offset `target` on. */
  writeIovec(at: number, target: number, length: number): void {
    const { words } = this;
    const word = at >>> 2;
    words[word] = this.#addressLow + target;
    words[word + 1] = this.#addressHigh;
    words[word + 2] = length;
    words[word + 3] = 0;
  }

  /** Whether checksums are slow, because WebAssembly with SIMD is missing here; to be told once. */
  get isSlow(): boolean {
    return this.#sums instanceof ChecksumTwin;
  }

  /** The one's complement sum of bytes, 0 to 0xffff; see `Checksums.sum`. */
  sum(at: number, length: number): number {
    return this.#sums.sum(at, length);
  }

  /** The sums of all pieces of `stride` bytes, in one call; see `Checksums.sumPieces`. */
  sumPieces(at: number, length: number, stride: number, table: number): void {
    this.#sums.sumPieces(at, length, stride, table);
  }

  copy(to: number, from: number, length: number): void {
    this.#sums.copy(to, from, length);
  }
}
