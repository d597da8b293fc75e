/**
 * Recognises by the numbers of each single path that the peer began to count anew (pure). A path keeps the order of its
 * packets, nearly, so here a restart shows at once, where the numbers of all paths together are mixed. No allocation
 * after the constructor.
 */
import { RESTART_SEQUENCE_MAX, RestartDetector, SequenceVerdict } from '../wire/restart-detector.ts';
import { nextSequence } from '../wire/sequence.ts';

const SPAN_MIN = 64;
/**
 * By how much a path may disorder its own packets: a network card with several queues can turn a few batches of 64
 * segments round, and their numbers are those of every path together. A restart of which the first packets were lost
 * is recognised only above it, so it must not grow with the reorder window.
 */
const LATE_SPAN_MAX = 1024;
/**
 * A path that brought nothing timely for so long has nothing late on its way either: a small number that is behind is
 * a restart, however little it is behind. Without this a peer that is started anew soon after its start, as in trying
 * a configuration out, would lose its first packets.
 */
export const RESTART_REST_MS = 100;

export class PathRestarts {
  readonly #detectors: readonly RestartDetector[];
  /** The number after the highest of each path. */
  readonly #next: Uint32Array;
  readonly #hasBegun: Uint8Array;
  /** When each path last brought a number that was not behind. */
  readonly #timelyMs: Float64Array;

  /** `span`: how far apart two numbers of one path may be. */
  constructor(paths: number, span: number) {
    const stepSpan = Math.max(SPAN_MIN, span);
    const lateSpan = Math.min(stepSpan, LATE_SPAN_MAX);
    this.#detectors = Array.from({ length: paths }, () => new RestartDetector(lateSpan, stepSpan));
    this.#next = new Uint32Array(paths);
    this.#hasBegun = new Uint8Array(paths);
    this.#timelyMs = new Float64Array(paths);
  }

  /** Whether `sequence` on `path` shows that the peer counts anew. The caller then calls `restart`. `nowMs` never goes back. */
  observe(sequence: number, path: number, nowMs: number): boolean {
    const detector = this.#detectors[path];
    if (detector === undefined) return false;
    if (this.#hasBegun[path] === 0) {
      this.#hasBegun[path] = 1;
      this.#next[path] = sequence;
    }
    const verdict = detector.observe(sequence, this.#next[path]!);
    const restMs = nowMs - this.#timelyMs[path]!;
    if (verdict !== SequenceVerdict.late) this.#timelyMs[path] = nowMs;
    if (verdict === SequenceVerdict.current) this.#next[path] = nextSequence(sequence);
    if (verdict !== SequenceVerdict.late) return verdict === SequenceVerdict.restarted;
    return sequence <= RESTART_SEQUENCE_MAX && restMs > RESTART_REST_MS;
  }

  /** All paths count from `sequence` on. */
  restart(sequence: number, nowMs: number): void {
    this.#next.fill(nextSequence(sequence));
    this.#timelyMs.fill(nowMs);
  }
}
