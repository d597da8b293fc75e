/**
 * Recognises by the numbers of each single path that the peer began to count anew (pure). A path keeps the order of its
 * packets, nearly, so here a restart shows at once, where the numbers of all paths together are mixed. No allocation
 * after the constructor.
 */
import { RestartDetector, SequenceVerdict } from '../wire/restart-detector.ts';
import { nextSequence } from '../wire/sequence.ts';

const SPAN_MIN = 64;
/**
 * By how much a path may disorder its own packets: a network card with several queues can turn a few batches of 64
 * segments round, and their numbers are those of every path together. A restart of which the first packets were lost
 * is recognised only above it, so it must not grow with the reorder window.
 */
const LATE_SPAN_MAX = 1024;

export class PathRestarts {
  readonly #detectors: readonly RestartDetector[];
  /** The number after the highest of each path. */
  readonly #next: Uint32Array;
  readonly #hasBegun: Uint8Array;

  /** `span`: how far apart two numbers of one path may be. */
  constructor(paths: number, span: number) {
    const stepSpan = Math.max(SPAN_MIN, span);
    const lateSpan = Math.min(stepSpan, LATE_SPAN_MAX);
    this.#detectors = Array.from({ length: paths }, () => new RestartDetector(lateSpan, stepSpan));
    this.#next = new Uint32Array(paths);
    this.#hasBegun = new Uint8Array(paths);
  }

  /** Whether `sequence` on `path` shows that the peer counts anew. The caller then calls `restart`. */
  observe(sequence: number, path: number): boolean {
    const detector = this.#detectors[path];
    if (detector === undefined) return false;
    if (this.#hasBegun[path] === 0) {
      this.#hasBegun[path] = 1;
      this.#next[path] = sequence;
    }
    const verdict = detector.observe(sequence, this.#next[path]!);
    if (verdict === SequenceVerdict.current) this.#next[path] = nextSequence(sequence);
    return verdict === SequenceVerdict.restarted;
  }

  /** All paths count from `sequence` on. */
  restart(sequence: number): void {
    this.#next.fill(nextSequence(sequence));
  }
}
