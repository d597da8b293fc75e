import { expect, it } from 'vitest';
import { MARKS_MAX, PATHS_KEPT_MAX, PathHistoryBook, type PathSample } from './history.ts';

const START = Date.UTC(2026, 0, 1);

const sample = (sent: number, more: Partial<PathSample> = {}): PathSample => ({
  id: 'wlan0 10.0.0.2',
  link: 'wlan0',
  address: '10.0.0.2',
  sentBitsPerSecond: sent,
  receivedBitsPerSecond: sent * 2,
  rttUs: 20_000,
  retransmissionsPerSecond: 0.5,
  ...more,
});

/** Looks each `everyMs` for `durationMs`, with the rate that `rateAt` gives for the time since the start. */
function run(
  book: PathHistoryBook,
  fromMs: number,
  durationMs: number,
  everyMs: number,
  rateAt: (ms: number) => number = () => 1000,
): number {
  for (let at = everyMs; at <= durationMs; at += everyMs) {
    book.add(fromMs + at, everyMs, [sample(rateAt(fromMs + at - START))]);
  }
  return fromMs + durationMs;
}

it('keeps one value a second for minutes, one each five seconds for the hour, one a minute for the day', () => {
  const book = new PathHistoryBook();
  const nowMs = run(book, START, 2 * 3600_000, 500);
  for (const [minutes, stepS, count] of [
    [1, 1, 60],
    [5, 1, 300],
    [10, 1, 599],
    [60, 5, 719],
    [90, 60, 90],
    [1440, 60, 1439],
  ] as const) {
    const { paths, stepS: step, times } = book.read(nowMs, { minutes });
    expect([minutes, step, times.length]).toEqual([minutes, stepS, count]);
    expect(times.at(-1)).toBe(nowMs);
    expect(paths[0]!.sentBitsPerSecond).toHaveLength(count);
  }
  const [path] = book.read(nowMs, { minutes: 60 }).paths;
  expect(new Set(path!.sentBitsPerSecond)).toEqual(new Set([1000]));
  expect(new Set(path!.receivedBitsPerSecond)).toEqual(new Set([2000]));
  expect(new Set(path!.rttUs)).toEqual(new Set([20_000]));
  expect(new Set(path!.retransmissionsPerSecond)).toEqual(new Set([0.5]));
});

it('averages by how long each rate lasted, in every resolution', () => {
  const book = new PathHistoryBook();
  // 100 for three quarters of each second, 500 for the last quarter.
  const nowMs = run(book, START, 60_000, 250, (ms) => (ms % 1000 === 0 ? 500 : 100));
  const values = (minutes: number) => book.read(nowMs, { minutes }).paths[0]!.sentBitsPerSecond;
  expect(new Set(values(1))).toEqual(new Set([200]));
  expect(values(60).at(-1)).toBe(200);
  expect(values(1440).at(-1)).toBe(200);
});

it('divides a slow look among the seconds that it is of', () => {
  const book = new PathHistoryBook();
  book.add(START + 2000, 2000, [sample(700)]);
  expect(book.read(START + 2000, { minutes: 1 }).paths[0]!.sentBitsPerSecond.slice(-2)).toEqual([700, 700]);
});

it('leaves out what nobody looked at: a host that slept, a process that was stopped', () => {
  const book = new PathHistoryBook();
  const sleptMs = run(book, START, 5000, 500);
  // The clock that rates are measured by stands still while a host sleeps.
  const nowMs = run(book, sleptMs + 20_000, 5000, 500);
  const [slept] = book.read(nowMs, { minutes: 1 }).paths;
  expect(slept!.sentBitsPerSecond.slice(-30)).toEqual([
    ...Array<number>(5).fill(1000),
    ...Array<null>(20).fill(null),
    ...Array<number>(5).fill(1000),
  ]);
  book.add(nowMs + 31_000, 31_000, [sample(5)]);
  expect(book.read(nowMs + 31_000, { minutes: 1 }).paths[0]!.sentBitsPerSecond.slice(-30)).toEqual(
    Array<null>(30).fill(null),
  );
});

it('forgets what is older than its resolution, also after a gap longer than that', () => {
  const book = new PathHistoryBook();
  const sleptMs = run(book, START, 5000, 500);
  const nowMs = run(book, sleptMs + 3 * 3600_000, 60_000, 500, () => 7);
  const values = (minutes: number) =>
    book.read(nowMs, { minutes }).paths[0]!.sentBitsPerSecond.filter((value) => value !== null);
  expect(new Set(values(10))).toEqual(new Set([7]));
  expect(new Set(values(60))).toEqual(new Set([7]));
  expect(values(1440)).toEqual([1000, 7]);
});

it('has no value twice when the clock is set back, and waits for a small step', () => {
  const book = new PathHistoryBook();
  const nowMs = run(book, START, 10_000, 500);
  book.add(nowMs - 1000, 500, [sample(9)]);
  expect(book.read(nowMs, { minutes: 1 }).paths[0]!.sentBitsPerSecond.at(-1)).toBe(1000);
  const backMs = run(book, START - 3600_000, 3000, 500, () => 3);
  const { paths } = book.read(backMs, { minutes: 1 });
  expect(paths[0]!.sentBitsPerSecond.slice(-4)).toEqual([null, 3, 3, 3]);
});

it('has no round-trip time where there was none', () => {
  const book = new PathHistoryBook();
  book.add(START + 1000, 1000, [sample(1, { rttUs: undefined })]);
  expect(book.read(START + 1000, { minutes: 1 }).paths[0]).toMatchObject({
    rttUs: Array<null>(60).fill(null),
  });
});

it('is bounded: paths that were not seen for longest, and old marks, make room', () => {
  const book = new PathHistoryBook();
  for (let n = 0; n < PATHS_KEPT_MAX * 3; n++) {
    book.add(START + n * 1000, 1000, [sample(n, { id: `p${n}`, link: `p${n}` })]);
    for (let m = 0; m < 5; m++) {
      book.mark({ time: START + n * 1000, path: `p${n}`, state: 'down', text: `${m}` });
    }
  }
  const { marks, paths } = book.read(START + PATHS_KEPT_MAX * 3000, { minutes: 60 });
  expect(paths).toHaveLength(PATHS_KEPT_MAX);
  expect(paths.at(-1)!.path).toBe(`p${PATHS_KEPT_MAX * 3 - 1}`);
  expect(marks).toHaveLength(MARKS_MAX);
});

it('answers any window, and marks of it only', () => {
  const book = new PathHistoryBook();
  expect(book.read(START)).toMatchObject({ stepS: 1, paths: [], marks: [] });
  expect(book.read(START, { minutes: 0 }).times).toHaveLength(60);
  expect(book.read(START, { minutes: 1e9 }).times).toHaveLength(1439);
  for (const ago of [10, 200]) {
    book.mark({ time: START - ago * 1000, path: 'p', state: 'stale', text: `${ago}` });
  }
  expect(book.read(START, { minutes: 1 }).marks.map(({ text }) => text)).toEqual(['10']);
});
