/**
 * Where received packets lie, from their reading until they are written to the device: in the buffer that the kernel
 * filled as long as that can be, and in a store of blocks when they have to wait longer than buffers can be spared.
 * A packet is a slot, a small number; it stays the same when the packet moves.
 *
 *   buffer (64 KiB, one datagram or many) ── keep ──► block of the store (three sizes)
 *
 * Invariants: a slot is taken exactly once and released exactly once; a buffer is free when nobody holds it, neither
 * its owner (who gives it to the kernel) nor a slot. BOUNDED: buffers, slots and blocks are made at the start. Nothing is
 * allocated after the constructor.
 */
import type { PacketMemory } from './packet-memory.ts';

/** The largest payload of UDP, and what comes out of UDP_GRO, are below. */
export const BUFFER_BYTES = 65_536;
/** Each lane of the inbound loop holds some. */
export const BUFFERS = 128;
/** More than the kernel puts into one buffer (UDP_MAX_SEGMENTS is 128). */
export const SEGMENTS_MAX = 256;
export const NO_SLOT = -1;

const SLOTS = 32_768;
/** Ordinary packets, jumbo packets, and whatever else; memory that was never used is not taken from the system. */
const CLASSES = [
  { blockBytes: 2048, blocks: 12_288 },
  { blockBytes: 10_240, blocks: 768 },
  { blockBytes: BUFFER_BYTES, blocks: 16 },
] as const;
const STORED = -1;

const PAGE_BYTES = 4096;

/** What PacketSlots reserves of the memory, with room for alignment. */
export const SLOTS_MEMORY_BYTES =
  BUFFERS * BUFFER_BYTES + CLASSES.reduce((sum, { blockBytes, blocks }) => sum + blockBytes * blocks, 4096);

export class PacketSlots {
  readonly #memory: PacketMemory;
  /** Offset of the packet. */
  readonly at = new Int32Array(SLOTS);
  readonly lengthBytes = new Int32Array(SLOTS);
  /** One's complement sum of the whole packet, perhaps not folded; -1: not known. */
  readonly sums = new Int32Array(SLOTS);
  /** Buffer that holds the packet, or `STORED`. */
  readonly #homes = new Int32Array(SLOTS);
  readonly #free = new Int32Array(SLOTS);
  #freeCount = SLOTS;

  readonly #buffersAt: number;
  /** Slots in each buffer, and 1 while it is lent. */
  readonly #holders = new Int32Array(BUFFERS);
  readonly #isLent = new Uint8Array(BUFFERS);
  readonly #freeBuffers = new Int32Array(BUFFERS);
  #freeBufferCount = BUFFERS;
  /** Slots that were taken in each buffer since it was lent. */
  readonly #taken = new Int32Array(BUFFERS * SEGMENTS_MAX);
  readonly #takenCount = new Int32Array(BUFFERS);

  /** Offsets of free blocks of each class. */
  readonly #blocks: readonly Int32Array[];
  readonly #blockCounts = new Int32Array(CLASSES.length);
  readonly #classAt: readonly number[];
  readonly #endAt: number;
  #isTouched = false;

  constructor(memory: PacketMemory) {
    this.#memory = memory;
    this.#buffersAt = memory.reserve(BUFFERS * BUFFER_BYTES);
    for (let i = 0; i < SLOTS; i++) this.#free[i] = SLOTS - 1 - i;
    for (let i = 0; i < BUFFERS; i++) this.#freeBuffers[i] = BUFFERS - 1 - i;
    this.#classAt = CLASSES.map(({ blockBytes, blocks }) => memory.reserve(blockBytes * blocks));
    this.#endAt = memory.reserve(0);
    this.#blocks = CLASSES.map(({ blockBytes, blocks }, index) => {
      // The last is given away first.
      const first = this.#classAt[index]!;
      return new Int32Array(blocks).map((_, i) => first + (blocks - 1 - i) * blockBytes);
    });
    for (const [index, { blocks }] of CLASSES.entries()) this.#blockCounts[index] = blocks;
  }

  /**
   * Takes all memory from the system now: buffers and blocks are used the more, the longer a jam lasts, and a process
   * that grows by each jam that is longer than those before looks as if it leaked. About 10 ms.
   */
  touch(): void {
    if (this.#isTouched) return;
    this.#isTouched = true;
    const { bytes } = this.#memory;
    for (let at = this.#buffersAt; at < this.#endAt; at += PAGE_BYTES) {
      // Some of it may be in use.
      const kept = bytes[at]!;
      bytes[at] = kept;
    }
  }

  get freeBuffers(): number {
    return this.#freeBufferCount;
  }

  get freeSlots(): number {
    return this.#freeCount;
  }

  /** Offset of a buffer. */
  bufferAt(buffer: number): number {
    return this.#buffersAt + buffer * BUFFER_BYTES;
  }

  /** Lends a free buffer, or -1. */
  lendBuffer(): number {
    if (this.#freeBufferCount === 0) return -1;
    const buffer = this.#freeBuffers[--this.#freeBufferCount]!;
    this.#holders[buffer] = 1;
    this.#isLent[buffer] = 1;
    this.#takenCount[buffer] = 0;
    return buffer;
  }

  /** Whether no slot holds the lent buffer, so that the kernel may fill it again; its slots are forgotten then. */
  isUnused(buffer: number): boolean {
    if (this.#holders[buffer]! > 1) return false;
    this.#takenCount[buffer] = 0;
    return true;
  }

  /** Gives a lent buffer back; it is free when its slots are released. */
  returnBuffer(buffer: number): void {
    this.#isLent[buffer] = 0;
    this.#dropHolder(buffer);
  }

  /** A slot for a packet in a lent buffer; `NO_SLOT` when there is none. */
  take(buffer: number, at: number, lengthBytes: number, sum: number): number {
    const taken = this.#takenCount[buffer]!;
    if (this.#freeCount === 0 || taken === SEGMENTS_MAX) return NO_SLOT;
    const slot = this.#free[--this.#freeCount]!;
    this.at[slot] = at;
    this.lengthBytes[slot] = lengthBytes;
    this.sums[slot] = sum;
    this.#homes[slot] = buffer;
    this.#taken[buffer * SEGMENTS_MAX + taken] = slot;
    this.#takenCount[buffer] = taken + 1;
    this.#holders[buffer]!++;
    return slot;
  }

  release(slot: number): void {
    const home = this.#homes[slot]!;
    if (home >= 0) this.#dropHolder(home);
    else this.#freeBlock(this.at[slot]!);
    this.#free[this.#freeCount++] = slot;
    this.#homes[slot] = STORED;
  }

  /**
   * Frees a buffer that was returned but is held by slots: copies their packets into the store, so `at` changes. `false`
   * when there is no such buffer, or the store is full; some packets may have moved all the same.
   */
  keepOne(): boolean {
    let best = -1;
    // The fewest packets to copy.
    for (let buffer = 0; buffer < BUFFERS; buffer++) {
      const holders = this.#holders[buffer]!;
      if (holders === 0 || this.#isLent[buffer] === 1) continue;
      if (best < 0 || holders < this.#holders[best]!) best = buffer;
    }
    return best >= 0 && this.#keep(best);
  }

  #keep(buffer: number): boolean {
    const first = buffer * SEGMENTS_MAX;
    const count = this.#takenCount[buffer]!;
    for (let i = first; i < first + count; i++) {
      const slot = this.#taken[i]!;
      if (this.#homes[slot] !== buffer) continue;
      const block = this.#takeBlock(this.lengthBytes[slot]!);
      if (block < 0) return false;
      this.#memory.copy(block, this.at[slot]!, this.lengthBytes[slot]!);
      this.at[slot] = block;
      this.#homes[slot] = STORED;
      this.#dropHolder(buffer);
    }
    return true;
  }

  #dropHolder(buffer: number): void {
    if (--this.#holders[buffer]! === 0) this.#freeBuffers[this.#freeBufferCount++] = buffer;
  }

  /** A block that holds so many bytes; a larger one if those of its size are used up. -1: none. */
  #takeBlock(lengthBytes: number): number {
    for (let i = 0; i < CLASSES.length; i++) {
      const count = this.#blockCounts[i]!;
      if (lengthBytes > CLASSES[i]!.blockBytes || count === 0) continue;
      this.#blockCounts[i] = count - 1;
      return this.#blocks[i]![count - 1]!;
    }
    return -1;
  }

  #freeBlock(at: number): void {
    let index = CLASSES.length - 1;
    while (at < this.#classAt[index]!) index--;
    this.#blocks[index]![this.#blockCounts[index]!++] = at;
  }
}
