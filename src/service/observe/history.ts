/**
 * What each path carried over the last day, at falling resolution, in memory only (pure; time comes in).
 *
 *   each second       for 10 minutes   600 values
 *   each 5 seconds    for 60 minutes   720 values
 *   each minute       for 24 hours    1440 values
 *
 * Four numbers each (sent, received, round-trip time, retransmissions) as Float32: 44 KB a path.
 *
 * Time is the wall clock's. A span in which nobody looked (the host slept, the process was stopped) stays empty, and
 * so does what lies between two clocks when somebody sets the clock.
 *
 * Invariant: a value is an average over the part of its step that was looked at; a step nobody looked at has none.
 * BOUNDED: PATHS_KEPT_MAX paths, 2.8 MB; the one not seen for longest makes room. MARKS_MAX marks.
 */
import type { History, HistoryMark, HistoryQuery, PathHistory } from './model.ts';

export const PATHS_KEPT_MAX = 64;
export const MARKS_MAX = 500;
const DAY_MS = 24 * 3600 * 1000;
/** Nobody looked in between: what was counted is of an unknown time. */
const SPAN_MAX_MS = 30_000;
/** A clock set back by less is only waited for. */
const BACKWARDS_MAX_MS = 2000;
const DEFAULT_MINUTES = 5;
const MINUTES_MAX = 1440;

/** What a look found of one path. */
export interface PathSample {
  readonly id: string;
  readonly link: string;
  readonly address: string;
  readonly sentBitsPerSecond: number;
  readonly receivedBitsPerSecond: number;
  readonly rttUs?: number | undefined;
  readonly retransmissionsPerSecond: number;
}

const SENT = 0;
const RECEIVED = 1;
const RTT = 2;
const RETRANSMISSIONS = 3;
const SERIES = 4;

/** The steps of one resolution of one path: the past ones, and the sums of the one under way. */
class Ring {
  readonly stepMs: number;
  readonly #length: number;
  readonly #values: Float32Array;
  readonly #sums = new Float64Array(SERIES);
  readonly #coveredMs = new Float64Array(SERIES);
  /** The number of the step under way, counted from 1970; -1: none yet. */
  #step = -1;

  constructor(stepMs: number, length: number) {
    this.stepMs = stepMs;
    this.#length = length;
    this.#values = new Float32Array(length * SERIES).fill(NaN);
  }

  /** Adds what was so from `fromMs` to `toMs`, which is later than everything added before. */
  add(fromMs: number, toMs: number, sample: PathSample): void {
    for (let at = fromMs; at < toMs;) {
      const step = Math.floor(at / this.stepMs);
      const end = Math.min(toMs, (step + 1) * this.stepMs);
      this.#advance(step);
      const spanMs = end - at;
      this.#put(SENT, sample.sentBitsPerSecond, spanMs);
      this.#put(RECEIVED, sample.receivedBitsPerSecond, spanMs);
      this.#put(RETRANSMISSIONS, sample.retransmissionsPerSecond, spanMs);
      if (sample.rttUs !== undefined) this.#put(RTT, sample.rttUs, spanMs);
      at = end;
    }
  }

  #put(series: number, value: number, spanMs: number): void {
    this.#sums[series]! += value * spanMs;
    this.#coveredMs[series]! += spanMs;
  }

  /** Writes the step under way down and begins another; what lies between them is empty. */
  #advance(step: number): void {
    if (step === this.#step) return;
    this.#store();
    const first = this.#step < 0 ? step : Math.max(this.#step + 1, step - this.#length + 1);
    for (let at = first; at <= step; at++) {
      const slot = (at % this.#length) * SERIES;
      this.#values.fill(NaN, slot, slot + SERIES);
    }
    this.#step = step;
    this.#sums.fill(0);
    this.#coveredMs.fill(0);
  }

  #store(): void {
    if (this.#step < 0) return;
    const slot = (this.#step % this.#length) * SERIES;
    for (let series = 0; series < SERIES; series++) {
      const coveredMs = this.#coveredMs[series]!;
      this.#values[slot + series] = coveredMs === 0 ? NaN : this.#sums[series]! / coveredMs;
    }
  }

  /** One series of the steps `first` to `last`, both included. */
  read(series: number, first: number, last: number): (number | null)[] {
    this.#store();
    const found: (number | null)[] = [];
    for (let step = first; step <= last; step++) {
      const isKept = step <= this.#step && step > this.#step - this.#length;
      const value = isKept ? this.#values[(step % this.#length) * SERIES + series]! : NaN;
      found.push(Number.isNaN(value) ? null : value);
    }
    return found;
  }
}

interface KeptPath {
  readonly link: string;
  readonly address: string;
  readonly rings: readonly Ring[];
  lastMs: number;
}

const RESOLUTIONS = [
  { stepMs: 1000, length: 600 },
  { stepMs: 5000, length: 720 },
  { stepMs: 60_000, length: 1440 },
] as const;

const makeRings = () => RESOLUTIONS.map(({ length, stepMs }) => new Ring(stepMs, length));

const whole = (values: readonly (number | null)[]) =>
  values.map((value) => (value === null ? null : Math.round(value)));
const tenths = (values: readonly (number | null)[]) =>
  values.map((value) => (value === null ? null : Math.round(value * 10) / 10));

export class PathHistoryBook {
  readonly #paths = new Map<string, KeptPath>();
  readonly #marks: HistoryMark[] = [];
  #lastMs = -Infinity;

  /**
   * Takes what was so over the last `spanMs` milliseconds.
   * @param nowMs milliseconds since 1970
   */
  add(nowMs: number, spanMs: number, samples: readonly PathSample[]): void {
    if (nowMs < this.#lastMs - BACKWARDS_MAX_MS) {
      // Somebody set the clock back: times would be there twice.
      this.#paths.clear();
      this.#lastMs = -Infinity;
    }
    const fromMs = Math.max(this.#lastMs, nowMs - spanMs);
    if (nowMs <= fromMs) return;
    this.#lastMs = nowMs;
    if (spanMs > SPAN_MAX_MS) return;
    for (const sample of samples) {
      const path = this.#open(sample);
      path.lastMs = nowMs;
      for (const ring of path.rings) ring.add(fromMs, nowMs, sample);
    }
  }

  #open(sample: PathSample): KeptPath {
    const known = this.#paths.get(sample.id);
    if (known !== undefined) return known;
    if (this.#paths.size >= PATHS_KEPT_MAX) this.#makeRoom();
    const path = { link: sample.link, address: sample.address, rings: makeRings(), lastMs: 0 };
    this.#paths.set(sample.id, path);
    return path;
  }

  #makeRoom(): void {
    let oldest: string | undefined;
    let oldestMs = Infinity;
    for (const [id, { lastMs }] of this.#paths) {
      if (lastMs >= oldestMs) continue;
      oldestMs = lastMs;
      oldest = id;
    }
    if (oldest !== undefined) this.#paths.delete(oldest);
  }

  mark(mark: HistoryMark): void {
    this.#marks.push(mark);
    while (this.#marks.length > MARKS_MAX) this.#marks.shift();
  }

  /**
   * @param nowMs milliseconds since 1970
   * @returns whole steps only, up to the last one that has ended
   */
  read(nowMs: number, query: HistoryQuery = {}): History {
    const minutes = Math.min(MINUTES_MAX, Math.max(1, query.minutes ?? DEFAULT_MINUTES));
    const spanMs = minutes * 60_000;
    const which = RESOLUTIONS.findIndex(({ length, stepMs }) => length * stepMs >= spanMs);
    const { length, stepMs } = RESOLUTIONS[which]!;
    const last = Math.floor(nowMs / stepMs) - 1;
    // The step under way takes one slot of the ring.
    const count = Math.min(length - 1, Math.ceil(spanMs / stepMs));
    const first = last - count + 1;
    const times: number[] = [];
    for (let step = first; step <= last; step++) times.push((step + 1) * stepMs);
    const paths: PathHistory[] = [];
    for (const [id, { address, lastMs, link, rings }] of this.#paths) {
      if (lastMs < first * stepMs) continue;
      const ring = rings[which]!;
      paths.push({
        path: id,
        link,
        address,
        sentBitsPerSecond: whole(ring.read(SENT, first, last)),
        receivedBitsPerSecond: whole(ring.read(RECEIVED, first, last)),
        rttUs: whole(ring.read(RTT, first, last)),
        retransmissionsPerSecond: tenths(ring.read(RETRANSMISSIONS, first, last)),
      });
    }
    const oldestMs = Math.max(first * stepMs, nowMs - DAY_MS);
    return {
      stepS: stepMs / 1000,
      times,
      paths,
      marks: this.#marks.filter(({ time }) => time > oldestMs && time <= nowMs),
    };
  }
}
