/**
 * Frames that wait their time, in one ring of memory (pure): the frame is read straight into its place and written
 * from there. Time is an argument, in milliseconds of any clock that does not go back.
 *
 * Invariants: frames leave in the order in which they came; never more than the ring holds; `reserve` gives room
 * for the largest frame or nothing, so a frame is never cut.
 */

/** BOUNDED: `capacityBytes` of frames and `capacityFrames` of them; what finds no room is the caller's to drop. */
export class DelayLine {
  readonly #memory: Uint8Array;
  readonly #largestFrameBytes: number;
  readonly #dueMs: Float64Array;
  readonly #offsets: Float64Array;
  readonly #lengths: Float64Array;
  #oldest = 0;
  #count = 0;
  /** Where the next frame is written; the oldest frame's offset bounds it once the ring has wrapped. */
  #writeAt = 0;

  constructor(options: {
    readonly capacityBytes: number;
    readonly capacityFrames: number;
    readonly largestFrameBytes: number;
  }) {
    if (options.capacityBytes < options.largestFrameBytes) throw new RangeError('no room for one frame');
    this.#memory = new Uint8Array(new ArrayBuffer(options.capacityBytes));
    this.#largestFrameBytes = options.largestFrameBytes;
    this.#dueMs = new Float64Array(options.capacityFrames);
    this.#offsets = new Float64Array(options.capacityFrames);
    this.#lengths = new Float64Array(options.capacityFrames);
  }

  get count(): number {
    return this.#count;
  }

  /** Where the next frame may be written, `undefined` when the line is full. `commit` makes it a frame. */
  reserve(): Uint8Array | undefined {
    if (this.#count === this.#offsets.length) return undefined;
    const need = this.#largestFrameBytes;
    if (this.#count === 0) this.#writeAt = 0;
    const head = this.#count === 0 ? 0 : this.#offsets[this.#oldest]!;
    const wrapped = this.#count > 0 && this.#writeAt <= head;
    if (wrapped) {
      if (head - this.#writeAt < need) return undefined;
    } else if (this.#memory.length - this.#writeAt < need) {
      if (head < need) return undefined;
      this.#writeAt = 0;
    }
    return this.#memory.subarray(this.#writeAt, this.#writeAt + need);
  }

  /** The reserved room holds a frame of this length, at least one byte, that leaves at `dueMs`. */
  commit(lengthBytes: number, dueMs: number): void {
    const slot = (this.#oldest + this.#count) % this.#offsets.length;
    this.#offsets[slot] = this.#writeAt;
    this.#lengths[slot] = lengthBytes;
    this.#dueMs[slot] = dueMs;
    this.#writeAt += lengthBytes;
    this.#count++;
  }

  /** When the oldest frame leaves; Infinity when there is none. */
  nextDueMs(): number {
    return this.#count === 0 ? Infinity : this.#dueMs[this.#oldest]!;
  }

  /** The oldest frame, valid until `release`. Call only while `count` is not 0. */
  oldest(): Uint8Array {
    const offset = this.#offsets[this.#oldest]!;
    return this.#memory.subarray(offset, offset + this.#lengths[this.#oldest]!);
  }

  /** Forgets the oldest frame. */
  release(): void {
    this.#oldest = (this.#oldest + 1) % this.#offsets.length;
    this.#count--;
  }
}
