import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RaceLost, raceStaggered } from './connect-race.ts';
import { interleaveFamilies } from './happy-eyeballs.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Attempts that the test ends by hand. */
function makeRace(candidates: string[], signal = new AbortController().signal) {
  const ends = new Map<string, { resolve(): void; reject(): void }>();
  const started: string[] = [];
  const discarded: string[] = [];
  const result = raceStaggered({
    candidates,
    delayMs: 250,
    signal,
    start: (name) =>
      new Promise<string>((resolve, reject) => {
        started.push(name);
        ends.set(name, { resolve: () => resolve(name), reject: () => reject(new Error(name)) });
      }),
    discard: (name) => discarded.push(name),
  });
  const outcome = result.catch((error: unknown) => error);
  return { outcome, started, discarded, end: (name: string) => ends.get(name)! };
}

describe('raceStaggered', () => {
  it('starts the next when the delay has passed, and no sooner', async () => {
    const race = makeRace(['a', 'b', 'c']);
    expect(race.started).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(249);
    expect(race.started).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1);
    expect(race.started).toEqual(['a', 'b']);
    race.end('b').resolve();
    expect(await race.outcome).toBe('b');
    await vi.advanceTimersByTimeAsync(1000);
    expect(race.started).toEqual(['a', 'b']);
  });

  it('starts the next at once when one fails, and begins the delay anew', async () => {
    const race = makeRace(['a', 'b', 'c']);
    await vi.advanceTimersByTimeAsync(200);
    race.end('a').reject();
    await vi.advanceTimersByTimeAsync(0);
    expect(race.started).toEqual(['a', 'b']);
    await vi.advanceTimersByTimeAsync(249);
    expect(race.started).toEqual(['a', 'b']);
    await vi.advanceTimersByTimeAsync(1);
    expect(race.started).toEqual(['a', 'b', 'c']);
  });

  it('discards what comes after the first', async () => {
    const race = makeRace(['a', 'b']);
    await vi.advanceTimersByTimeAsync(250);
    race.end('b').resolve();
    expect(await race.outcome).toBe('b');
    race.end('a').resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(race.discarded).toEqual(['a']);
  });

  it('is lost when the last attempt has failed, with every error', async () => {
    const race = makeRace(['a', 'b']);
    await vi.advanceTimersByTimeAsync(250);
    race.end('b').reject();
    race.end('a').reject();
    const lost = (await race.outcome) as RaceLost;
    expect(lost).toBeInstanceOf(RaceLost);
    expect(lost.errors).toEqual([new Error('b'), new Error('a')]);
  });

  it('is lost at once with nobody to start, and starts nobody once aborted', async () => {
    expect(await makeRace([]).outcome).toBeInstanceOf(RaceLost);
    const aborted = makeRace(['a'], AbortSignal.abort());
    expect(await aborted.outcome).toBeInstanceOf(RaceLost);
    expect(aborted.started).toEqual([]);
    const abort = new AbortController();
    const race = makeRace(['a', 'b'], abort.signal);
    abort.abort();
    race.end('a').reject();
    expect(await race.outcome).toBeInstanceOf(RaceLost);
    expect(race.started).toEqual(['a']);
  });
});

describe('interleaveFamilies', () => {
  it('alternates from the first on and keeps the order within a family', () => {
    expect(interleaveFamilies(['::1', '::2', '::3', '1.1.1.1'])).toEqual(['::1', '1.1.1.1', '::2', '::3']);
    expect(interleaveFamilies(['1.1.1.1', '2.2.2.2', '::1'])).toEqual(['1.1.1.1', '::1', '2.2.2.2']);
    expect(interleaveFamilies(['1.1.1.1'])).toEqual(['1.1.1.1']);
    expect(interleaveFamilies([])).toEqual([]);
  });
});
