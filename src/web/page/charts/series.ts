/**
 * The values that the charts draw: a window of history, continued with each overview. Pure, in the time of the
 * overviews. BOUNDED: `POINTS_MAX` moments, `PATHS_MAX` paths, `MARKS_MAX` marks; the oldest go first.
 */
import type {
  History,
  HistoryMark,
  Overview,
  PathReading,
  PathState,
} from '../../../service/observe/model.ts';

export const POINTS_MAX = 1500;
export const PATHS_MAX = 64;
export const MARKS_MAX = 200;

export const QUANTITIES = ['received', 'sent', 'rttUs', 'retransmissions'] as const;
export type Quantity = (typeof QUANTITIES)[number];
type Values = (number | null)[];

export interface ChartPath {
  readonly id: string;
  readonly link: string;
  readonly address: string;
  /** Each as long as `ChartSeries.times`; null: not known then. */
  readonly values: Readonly<Record<Quantity, Values>>;
}

/** Shorter than this without a look is not worth a hole in the line. */
const GAP_FROM_MS = 4500;

const QUANTITY_OF_READING: Readonly<Record<Quantity, (path: PathReading) => number | null>> = {
  received: (path) => path.receivedBitsPerSecond,
  sent: (path) => path.sentBitsPerSecond,
  rttUs: (path) => path.rttUs ?? null,
  retransmissions: (path) => path.retransmissionsPerSecond,
};

/** A path that is cut off carries nothing and has no round-trip time: what it had before says nothing of now. */
const isCut = (state: PathState) => state === 'down';

/** It carries nothing, whatever it is meant to. */
export const isBroken = (state: PathState) => state === 'down' || state === 'stale';

/** Which changes of state are worth a line in the charts: it stopped carrying, or came back. */
function markText(link: string, was: PathState, is: PathState): string | undefined {
  if (is === was) return undefined;
  if (isBroken(is)) return `${link} ${is}`;
  return isBroken(was) ? `${link} back` : undefined;
}

export class ChartSeries {
  /** Milliseconds since 1970, rising. */
  readonly times: number[] = [];
  readonly #paths = new Map<string, ChartPath>();
  #marks: HistoryMark[] = [];
  #states = new Map<string, PathState>();
  #windowMs: number;
  #stepMs = 1000;
  /** How many looks the last moment is the mean of; 0 for one of the history. */
  #looks = 0;
  #stepEndsAtMs = 0;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  get windowMs(): number {
    return this.#windowMs;
  }

  get stepMs(): number {
    return this.#stepMs;
  }

  /** In the order in which they were first seen. */
  get paths(): readonly ChartPath[] {
    return [...this.#paths.values()];
  }

  /** As the last look found it; absent: not there any more. */
  stateOf(path: string): PathState | undefined {
    return this.#states.get(path);
  }

  get marks(): readonly HistoryMark[] {
    return this.#marks;
  }

  /** Everything anew, as Weft remembers it. */
  load(history: History, windowMs: number): void {
    this.#windowMs = windowMs;
    this.#stepMs = Math.max(250, history.stepS * 1000);
    const order = [...this.#paths.keys()];
    this.#paths.clear();
    const from = Math.max(0, history.times.length - POINTS_MAX);
    this.times.splice(0, this.times.length, ...history.times.slice(from));
    const place = (id: string) => (order.includes(id) ? order.indexOf(id) : order.length);
    const readings = history.paths.toSorted((a, b) => place(a.path) - place(b.path)).slice(0, PATHS_MAX);
    for (const { path: id, link, address, ...values } of readings) {
      this.#paths.set(id, {
        id,
        link,
        address,
        values: {
          received: values.receivedBitsPerSecond.slice(from),
          sent: values.sentBitsPerSecond.slice(from),
          rttUs: values.rttUs.slice(from),
          retransmissions: values.retransmissionsPerSecond.slice(from),
        },
      });
    }
    this.#marks = history.marks.slice(-MARKS_MAX);
    this.#looks = 0;
    this.#stepEndsAtMs = this.times.at(-1) ?? 0;
  }

  /** @returns whether a path stopped carrying or came back, of which Weft's own history knows more */
  append(overview: Overview): boolean {
    const marked = this.#markChanges(overview);
    const { time } = overview;
    const last = this.times.at(-1);
    if (last !== undefined && time <= last) {
      // Somebody has set the clock back: what stands there cannot be continued.
      if (last - time > this.#windowMs) this.#clear();
      else return marked;
    }
    if (last !== undefined && this.#looks > 0 && time < this.#stepEndsAtMs) {
      this.#refine(overview);
    } else {
      const hole = last !== undefined && time - last > Math.max(GAP_FROM_MS, 3 * this.#stepMs);
      if (hole) this.#push(last + this.#stepMs, undefined);
      this.#push(time, overview);
      this.#looks = 1;
      this.#stepEndsAtMs = time + this.#stepMs - this.#stepMs / 8;
    }
    this.#trim(time);
    return marked;
  }

  #clear(): void {
    this.times.length = 0;
    this.#paths.clear();
    this.#marks = [];
    this.#looks = 0;
  }

  #markChanges(overview: Overview): boolean {
    let marked = false;
    const states = new Map<string, PathState>();
    for (const { id, link, state } of overview.paths) {
      states.set(id, state);
      const was = this.#states.get(id);
      const text = was === undefined ? undefined : markText(link, was, state);
      if (text === undefined) continue;
      marked = true;
      this.#marks.push({ time: overview.time, path: id, state, text });
    }
    this.#states = states;
    if (this.#marks.length > MARKS_MAX) this.#marks.splice(0, this.#marks.length - MARKS_MAX);
    return marked;
  }

  #push(time: number, overview: Overview | undefined): void {
    const before = this.times.length;
    this.times.push(time);
    for (const path of this.#paths.values())
      for (const quantity of QUANTITIES) path.values[quantity].push(null);
    for (const reading of overview?.paths ?? []) {
      const path = this.#paths.get(reading.id) ?? this.#add(reading, before + 1);
      if (path === undefined) continue;
      for (const quantity of QUANTITIES) {
        path.values[quantity][before] = isCut(reading.state) ? null : QUANTITY_OF_READING[quantity](reading);
      }
    }
  }

  #add({ id, link, address }: PathReading, length: number): ChartPath | undefined {
    if (this.#paths.size >= PATHS_MAX) return undefined;
    const empty = () => Array.from({ length }, () => null);
    const path: ChartPath = {
      id,
      link,
      address,
      values: { received: empty(), sent: empty(), rttUs: empty(), retransmissions: empty() },
    };
    this.#paths.set(id, path);
    return path;
  }

  /** The last moment becomes the mean of one look more. */
  #refine(overview: Overview): void {
    const at = this.times.length - 1;
    const looks = ++this.#looks;
    for (const reading of overview.paths) {
      const path = this.#paths.get(reading.id);
      if (path === undefined) continue;
      for (const quantity of QUANTITIES) {
        const value = isCut(reading.state) ? null : QUANTITY_OF_READING[quantity](reading);
        const mean = path.values[quantity][at];
        path.values[quantity][at] =
          value === null || mean === null || mean === undefined ? value : mean + (value - mean) / looks;
      }
    }
  }

  #trim(now: number): void {
    // One moment before the window stays, so that lines reach its edge.
    const from = now - this.#windowMs - 2 * this.#stepMs;
    let drop = Math.max(0, this.times.length - POINTS_MAX);
    while (drop < this.times.length && this.times[drop]! < from) drop++;
    if (drop === 0) return;
    this.times.splice(0, drop);
    for (const [id, path] of this.#paths) {
      for (const quantity of QUANTITIES) path.values[quantity].splice(0, drop);
      if (path.values.received.every((value) => value === null) && !this.#states.has(id))
        this.#paths.delete(id);
    }
    this.#marks = this.#marks.filter((mark) => mark.time >= from);
  }
}

/**
 * Short stretches of not knowing are bridged with the value before them, when one comes after them too: Weft looks less
 * often while nobody watches, and a line of dots cannot be read. Pure.
 */
export function bridge(times: readonly number[], values: readonly (number | null)[], stepMs: number): Values {
  const longest = Math.max(GAP_FROM_MS, 3 * stepMs);
  const bridged = [...values];
  let known = -1;
  for (let index = 0; index < bridged.length; index++) {
    if (bridged[index] === null || bridged[index] === undefined) continue;
    if (known >= 0 && index - known > 1 && times[index]! - times[known]! <= longest)
      bridged.fill(bridged[known]!, known + 1, index);
    known = index;
  }
  return bridged;
}

/**
 * Running sums from path to path, so that each line stands on the one before. Where nothing is known of any path there
 * is a hole; where only one is not known it counts as nothing. Pure.
 */
export function stack(columns: readonly (readonly (number | null)[])[], sign: 1 | -1 = 1): Values[] {
  const length = columns[0]?.length ?? 0;
  const stacked: Values[] = columns.map(() => Array.from({ length }, () => null));
  for (let at = 0; at < length; at++) {
    if (columns.every((column) => column[at] === null || column[at] === undefined)) continue;
    let sum = 0;
    for (const [index, column] of columns.entries()) {
      sum += (column[at] ?? 0) * sign;
      stacked[index]![at] = sum;
    }
  }
  return stacked;
}
