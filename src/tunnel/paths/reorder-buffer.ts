/**
 * Puts the packets of a connection back into order (pure; time is given, packets are handles of the caller's, whole
 * numbers from 0). A packet waits for earlier ones, at most `maxDelayMs`, and never for more than `window` numbers.
 *
 *   released in `released[0 … releasedCount)` by every `push`, `poll` and `flush`, valid until the next of them
 *
 * Rules, for a packet with number s while `next` is awaited (numbers compare modulo 2^32, RFC 1982):
 *   1  s = next: released, and all that follow it without a hole
 *   2  next < s < next + window: waits
 *   3  next + window <= s < next + 2 window: what is before s - window + 1 is given up, so that s fits
 *   4  further ahead: all that waits is released, and s begins anew
 *   5  s < next: late, dropped, unless 9
 *   6  s waits already: a duplicate, dropped
 *   7  a packet has waited `maxDelayMs`: the holes before it are given up
 *   8  every path has delivered a number above a hole, by more than `PATH_SLACK`: nothing can bring the missing packet
 *      any more, because a path keeps the order, so the hole is given up `SETTLE_MS` later. A path that delivered nothing does not
 *      count after the others went on without it for `maxDelayMs` times the number of paths, without a pause of
 *      `maxDelayMs`: shorter, and the packets of a slow path or those after a rest would be taken for lost. One that is
 *      known to be out of use (`setUsable`) does not count at all, and after its return for `maxDelayMs` at first
 *
 *   9  the peer began to count anew, by the numbers of a path or of all together
 *      (PathRestarts, RestartDetector): as 4
 *
 * The original has no 3 (it gives up everything), 6 (it gives up everything and loses the packet) and 8 (each loss
 * stalls all flows for the whole delay), and breaks at 2^32 and after restarts.
 *
 * Invariants: every handle given to `push` comes out exactly once or is told as dropped by that `push`; numbers
 * come out in ascending order except over a restart; nothing waits longer than `maxDelayMs` if `poll` is called at
 * `deadlineMs`. Nothing is allocated after the constructor.
 */
import { RestartDetector, SequenceVerdict } from '../wire/restart-detector.ts';
import { isBefore, nextSequence, sequenceDistance } from '../wire/sequence.ts';
import { PathRestarts } from './path-restarts.ts';

/** What `push` did with the packet. `FIRST_DROPPED` and above: dropped, the handle is the caller's again. */
export const PushResult = {
  /** Released by this call, or waiting. */
  taken: 0,
  /** Rule 4: far ahead. Taken. */
  jumped: 1,
  /** Rule 9: the peer counts anew. Taken. */
  restarted: 2,
  late: 3,
  duplicate: 4,
} as const;

export type PushResult = (typeof PushResult)[keyof typeof PushResult];

export const FIRST_DROPPED = PushResult.late;

/** A path may reorder this many of its own packets without loss (network cards with several queues). */
export const PATH_SLACK = 3;
/** And it has so long to bring what was overtaken: a sender that moves to another processor leaves a batch behind. */
export const SETTLE_MS = 4;

const NO_HANDLE = -1;

export interface ReorderOptions {
  /** Packets, 1 to 10,000. */
  readonly window: number;
  readonly maxDelayMs: number;
  /** Number of paths; rule 8 is off with 0. */
  readonly paths: number;
  /** Number awaited first, as another buffer's `next` said; absent: the first packet decides. */
  readonly next?: number | undefined;
}

const powerOfTwoAbove = (value: number) => 2 ** Math.ceil(Math.log2(value + 1));

export class ReorderBuffer {
  readonly #window: number;
  readonly #maxDelayMs: number;
  readonly #mask: number;
  /** Handles by number modulo the size. */
  readonly #handles: Int32Array;
  readonly #arrivedMs: Float64Array;
  /** Numbers that had to wait, by time of arrival; those released meanwhile are skipped. */
  readonly #arrivals: Uint32Array;
  readonly #arrivalsMask: number;
  #arrivalsHead = 0;
  #arrivalsTail = 0;
  readonly #restarts: RestartDetector;
  readonly #pathRestarts: PathRestarts;
  readonly #pathHighest: Uint32Array;
  /** -Infinity: nothing yet. */
  readonly #pathHeardMs: Float64Array;
  /** 1: known to deliver nothing. */
  readonly #pathOut: Uint8Array;
  /** How long a path is silent before it does not count, and since when packets come without a pause. */
  readonly #patienceMs: number;
  #busySinceMs = -Infinity;
  #lastMs = -Infinity;
  readonly #settleMs: number;
  /** Rule 8: what is before this number is given up at `#settledMs`, if it is not Infinity. */
  #passedMark = 0;
  #settledMs = Infinity;
  #next = 0;
  #waiting = 0;
  #hasBegun = false;

  readonly released: Int32Array;
  releasedCount = 0;
  /** Numbers given up so far; some may have come later, and were dropped as late. */
  missing = 0;

  constructor({ window, maxDelayMs, paths, next }: ReorderOptions) {
    const size = powerOfTwoAbove(window);
    this.#window = window;
    this.#maxDelayMs = maxDelayMs;
    this.#patienceMs = maxDelayMs * paths;
    this.#settleMs = Math.min(SETTLE_MS, maxDelayMs);
    this.#mask = size - 1;
    this.#handles = new Int32Array(size).fill(NO_HANDLE);
    this.#arrivedMs = new Float64Array(size);
    // While the oldest waits, numbers of less than two windows can come and go behind it.
    this.#arrivals = new Uint32Array(size * 2);
    this.#arrivalsMask = size * 2 - 1;
    this.#restarts = new RestartDetector(window);
    this.#pathRestarts = new PathRestarts(paths, window);
    this.#pathHighest = new Uint32Array(paths);
    this.#pathHeardMs = new Float64Array(paths).fill(-Infinity);
    this.#pathOut = new Uint8Array(paths);
    this.released = new Int32Array(size + 1);
    this.#hasBegun = next !== undefined;
    this.#next = next ?? 0;
  }

  /** Packets that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The number awaited; `undefined` before the first packet. */
  get next(): number | undefined {
    return this.#hasBegun ? this.#next : undefined;
  }

  /** When `poll` has something to do; Infinity while nothing waits. */
  get deadlineMs(): number {
    this.#skipReleased();
    if (this.#arrivalsHead === this.#arrivalsTail) return Infinity;
    const oldest = this.#arrivals[this.#arrivalsHead & this.#arrivalsMask]!;
    const oldMs = this.#arrivedMs[oldest & this.#mask]! + this.#maxDelayMs;
    return Math.min(oldMs, this.#settledMs);
  }

  /** Takes a packet that arrived over `path`. `nowMs` never goes back. */
  push(sequence: number, handle: number, path: number, nowMs: number): PushResult {
    this.releasedCount = 0;
    if (nowMs - this.#lastMs > this.#maxDelayMs) this.#busySinceMs = nowMs;
    this.#lastMs = nowMs;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      // A peer that began before us is met in the middle; one that begins now may have its first packets reordered.
      this.#next = sequence < this.#window ? 0 : sequence;
    }
    const ahead = sequenceDistance(this.#next, sequence);
    const restartsPath = this.#pathRestarts.observe(sequence, path, nowMs);
    const restartsAll = this.#restarts.observe(sequence, this.#next) === SequenceVerdict.restarted;
    if (restartsAll || (restartsPath && ahead < 0)) {
      this.#pathRestarts.restart(sequence, nowMs);
      return this.#begin(sequence, handle, path, nowMs, true);
    }
    if (ahead >= 2 * this.#window) return this.#begin(sequence, handle, path, nowMs, false);
    this.#notePath(sequence, path, nowMs);
    if (ahead < 0) return PushResult.late;
    if (ahead >= this.#window) this.#advanceTo((sequence - this.#window + 1) >>> 0);
    if (sequence === this.#next) {
      this.#release(handle);
      this.#next = nextSequence(sequence);
      this.#releaseRun();
    } else if (this.#handles[sequence & this.#mask] === NO_HANDLE) this.#hold(sequence, handle, nowMs);
    else return PushResult.duplicate;
    if (this.#waiting > 0) {
      this.#giveUpPassed(nowMs);
      this.#giveUpOld(nowMs);
    }
    return PushResult.taken;
  }

  /** Gives up holes whose followers waited long enough; how many packets were released. */
  poll(nowMs: number): number {
    this.releasedCount = 0;
    this.#giveUpPassed(nowMs);
    this.#giveUpOld(nowMs);
    return this.releasedCount;
  }

  /**
   * Takes word that a path is in use or not: a hole is not kept open for one that delivers nothing. How many packets
   * were released.
   */
  setUsable(path: number, isUsable: boolean, nowMs: number): number {
    this.releasedCount = 0;
    const out = isUsable ? 0 : 1;
    if (path >= this.#pathOut.length || this.#pathOut[path] === out) return 0;
    this.#pathOut[path] = out;
    if (isUsable) {
      // Its first packets may take longer than those of the others, and the peer may not use it yet.
      this.#pathHeardMs[path] = nowMs - this.#patienceMs + this.#maxDelayMs;
      this.#pathHighest[path] = (this.#next - 1) >>> 0;
    } else if (this.#waiting > 0) this.#giveUpPassed(nowMs);
    return this.releasedCount;
  }

  /** Releases all that waits, in order; how many. */
  flush(): number {
    this.releasedCount = 0;
    this.#releaseAll();
    return this.releasedCount;
  }

  #release(handle: number): void {
    this.released[this.releasedCount++] = handle;
  }

  #hold(sequence: number, handle: number, nowMs: number): void {
    const slot = sequence & this.#mask;
    this.#handles[slot] = handle;
    this.#arrivedMs[slot] = nowMs;
    this.#skipReleased();
    this.#arrivals[this.#arrivalsTail++ & this.#arrivalsMask] = sequence;
    this.#waiting++;
  }

  #takeSlot(slot: number): void {
    this.#release(this.#handles[slot]!);
    this.#handles[slot] = NO_HANDLE;
    this.#waiting--;
  }

  /** Releases from `next` on until a hole. */
  #releaseRun(): void {
    while (this.#waiting > 0 && this.#handles[this.#next & this.#mask] !== NO_HANDLE) {
      this.#takeSlot(this.#next & this.#mask);
      this.#next = nextSequence(this.#next);
    }
  }

  /** Releases what waits before `sequence`, giving up holes, and what follows it without one. */
  #advanceTo(sequence: number): void {
    while (isBefore(this.#next, sequence)) {
      if (this.#waiting === 0) {
        this.missing += sequenceDistance(this.#next, sequence);
        this.#next = sequence;
        return;
      }
      const slot = this.#next & this.#mask;
      if (this.#handles[slot] === NO_HANDLE) this.missing++;
      else this.#takeSlot(slot);
      this.#next = nextSequence(this.#next);
    }
    this.#releaseRun();
  }

  #releaseAll(): void {
    while (this.#waiting > 0) {
      const slot = this.#next & this.#mask;
      if (this.#handles[slot] === NO_HANDLE) this.missing++;
      else this.#takeSlot(slot);
      this.#next = nextSequence(this.#next);
    }
    this.#arrivalsHead = this.#arrivalsTail;
  }

  #begin(sequence: number, handle: number, path: number, nowMs: number, isRestart: boolean): PushResult {
    this.#releaseAll();
    this.#release(handle);
    this.#next = nextSequence(sequence);
    this.#pathHeardMs.fill(-Infinity);
    this.#settledMs = Infinity;
    this.#notePath(sequence, path, nowMs);
    return isRestart ? PushResult.restarted : PushResult.jumped;
  }

  #notePath(sequence: number, path: number, nowMs: number): void {
    if (path >= this.#pathHighest.length) return;
    if (this.#pathHeardMs[path] === -Infinity || isBefore(this.#pathHighest[path]!, sequence)) {
      this.#pathHighest[path] = sequence;
    }
    this.#pathHeardMs[path] = nowMs;
  }

  /** Rule 8. */
  #giveUpPassed(nowMs: number): void {
    if (this.#settledMs <= nowMs) {
      // A path that spoke again meanwhile may still bring something.
      const passed = this.#passedByAll(nowMs);
      const marked = sequenceDistance(this.#next, this.#passedMark);
      this.#settledMs = Infinity;
      if (passed > 0 && marked > 0) this.#advanceTo((this.#next + Math.min(passed, marked)) >>> 0);
    }
    if (this.#settledMs < Infinity || this.#waiting === 0) return;
    const passed = this.#passedByAll(nowMs);
    if (passed === 0) return;
    this.#passedMark = (this.#next + passed) >>> 0;
    this.#settledMs = nowMs + this.#settleMs;
  }

  /** How many numbers from `next` on every path that counts has passed by more than the slack. */
  #passedByAll(nowMs: number): number {
    if (this.#pathHighest.length === 0) return 0;
    let lowestAhead = Infinity;
    for (let path = 0; path < this.#pathHighest.length; path++) {
      if (this.#pathOut[path] === 1) continue;
      const heardMs = this.#pathHeardMs[path]!;
      if (Math.max(heardMs, this.#busySinceMs) < nowMs - this.#patienceMs) continue;
      if (heardMs === -Infinity) return 0;
      const ahead = sequenceDistance(this.#next, this.#pathHighest[path]!);
      if (ahead < lowestAhead) lowestAhead = ahead;
    }
    const passed = lowestAhead - PATH_SLACK;
    return passed > 0 && passed < this.#window ? passed : 0;
  }

  /** Rule 7. */
  #giveUpOld(nowMs: number): void {
    for (;;) {
      this.#skipReleased();
      if (this.#arrivalsHead === this.#arrivalsTail) return;
      const oldest = this.#arrivals[this.#arrivalsHead & this.#arrivalsMask]!;
      if (this.#arrivedMs[oldest & this.#mask]! + this.#maxDelayMs > nowMs) return;
      this.#advanceTo(oldest);
    }
  }

  #skipReleased(): void {
    while (
      this.#arrivalsHead !== this.#arrivalsTail &&
      isBefore(this.#arrivals[this.#arrivalsHead & this.#arrivalsMask]!, this.#next)
    ) {
      this.#arrivalsHead++;
    }
    if (this.#arrivalsHead === this.#arrivalsTail) {
      this.#arrivalsHead = 0;
      this.#arrivalsTail = 0;
    }
  }
}
