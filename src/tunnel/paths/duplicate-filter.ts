/**
 * Lets each number pass once: for connections whose packets are sent over several paths at the same time. A bitmap of
 * the last `DUPLICATE_WINDOW` numbers, as receivers of IPsec keep it (RFC 6479). Pure; nothing is allocated after
 * the constructor.
 *
 * Numbers older than the window are refused. Copies are behind all the time, so that the peer counts anew is seen by
 * the numbers of each path alone.
 */
import { addToSequence, nextSequence, sequenceDistance } from '../wire/sequence.ts';
import { PathRestarts } from './path-restarts.ts';

/** A power of two; 100,000 packets a second over paths that are 150 ms apart. */
export const DUPLICATE_WINDOW = 16_384;
const MASK = DUPLICATE_WINDOW - 1;
const PATH_SPAN = 1024;

export class DuplicateFilter {
  readonly #bits = new Uint32Array(DUPLICATE_WINDOW / 32);
  readonly #restarts: PathRestarts;
  /** The number after the highest one seen. */
  #next = 0;
  #hasBegun = false;

  constructor(paths: number) {
    this.#restarts = new PathRestarts(paths, PATH_SPAN);
  }

  /** Whether the number, arrived over `path`, is seen for the first time. `nowMs` never goes back. */
  accept(sequence: number, path: number, nowMs: number): boolean {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#next = sequence;
    }
    const ahead = sequenceDistance(this.#next, sequence);
    const isRestart = this.#restarts.observe(sequence, path, nowMs) && ahead < 0;
    if (isRestart) this.#restarts.restart(sequence, nowMs);
    if (isRestart || ahead >= DUPLICATE_WINDOW) {
      this.#bits.fill(0);
      this.#next = nextSequence(sequence);
    } else if (ahead < -DUPLICATE_WINDOW) return false;
    else if (ahead < 0) {
      if (this.#has(sequence)) return false;
    } else {
      for (let i = 0; i <= ahead; i++) this.#clear(addToSequence(this.#next, i));
      this.#next = nextSequence(sequence);
    }
    this.#bits[(sequence & MASK) >>> 5]! |= 1 << (sequence & 31);
    return true;
  }

  #has(sequence: number): boolean {
    return (this.#bits[(sequence & MASK) >>> 5]! & (1 << (sequence & 31))) !== 0;
  }

  #clear(sequence: number): void {
    this.#bits[(sequence & MASK) >>> 5]! &= ~(1 << (sequence & 31));
  }
}
