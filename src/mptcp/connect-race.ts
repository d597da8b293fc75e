/**
 * Starts attempts one after another, the next as soon as one fails or when a delay has passed, and takes the
 * first that succeeds: the driver of happy-eyeballs.ts, which says when. Knows nothing of sockets.
 *
 * Invariant: exactly one result is given out; every other one that still arrives goes to `discard`.
 */
import { HappyEyeballs } from './happy-eyeballs.ts';

export interface RaceOptions<Candidate, Result> {
  /** In the order of preference. BOUNDED: by the caller's list; each is started at most once. */
  readonly candidates: readonly Candidate[];
  /** How long a candidate has the field to itself. */
  readonly delayMs: number;
  /** Begins one attempt. It is expected to reject when `signal` aborts. */
  readonly start: (candidate: Candidate) => Promise<Result>;
  /** Takes back what a loser made. */
  readonly discard: (result: Result) => void;
  /** Starts no further attempt once aborted. */
  readonly signal: AbortSignal;
}

/** Every attempt failed; `errors` are theirs, in the order in which they came. */
export class RaceLost extends Error {
  readonly errors: readonly unknown[];

  constructor(errors: readonly unknown[]) {
    super('every attempt failed');
    this.errors = errors;
  }
}

/** Resolves with the first success; rejects with RaceLost when the last attempt has failed. */
export function raceStaggered<Candidate, Result>(options: RaceOptions<Candidate, Result>): Promise<Result> {
  const { candidates, delayMs, start, discard, signal } = options;
  return new Promise((resolve, reject) => {
    const race = new HappyEyeballs(candidates.length, delayMs);
    const errors: unknown[] = [];
    let settled = false;
    let running = 0;
    let timer: NodeJS.Timeout | undefined;

    const run = (): void => {
      clearTimeout(timer);
      if (!signal.aborted) {
        const nowMs = performance.now();
        for (let index = race.poll(nowMs); index !== undefined; index = race.poll(nowMs)) attempt(index);
        const deadlineMs = race.pollDeadlineMs();
        if (deadlineMs !== undefined) timer = setTimeout(run, Math.max(0, deadlineMs - nowMs));
      }
      if (running > 0) return;
      // While nothing runs and candidates are left one is started, so there is none left, or no more are wanted.
      settled = true;
      clearTimeout(timer);
      reject(new RaceLost(errors));
    };
    const attempt = (index: number): void => {
      running++;
      start(candidates[index]!).then(
        (result) => {
          running--;
          if (settled) {
            discard(result);
            return;
          }
          race.handleConnected(index);
          settled = true;
          clearTimeout(timer);
          resolve(result);
        },
        (error: unknown) => {
          running--;
          if (settled) return;
          errors.push(error);
          race.handleFailed(index);
          run();
        },
      );
    };
    run();
  });
}
