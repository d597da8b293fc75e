/**
 * Starts attempts one after another, the next as soon as one fails or when a delay has passed, and takes the
 * first that succeeds (the connection phase of RFC 8305). Knows nothing of sockets.
 *
 * Invariant: exactly one result is given out; every other one that still arrives goes to `discard`.
 */

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
    const errors: unknown[] = [];
    let settled = false;
    let running = 0;
    let next = 0;
    let timer: NodeJS.Timeout | undefined;

    const lose = () => {
      settled = true;
      clearTimeout(timer);
      reject(new RaceLost(errors));
    };
    const startNext = () => {
      clearTimeout(timer);
      const candidate = candidates[next];
      if (settled || candidate === undefined || signal.aborted) return;
      next++;
      running++;
      if (next < candidates.length) timer = setTimeout(startNext, delayMs);
      start(candidate).then(
        (result) => {
          running--;
          if (settled) {
            discard(result);
            return;
          }
          settled = true;
          clearTimeout(timer);
          resolve(result);
        },
        (error: unknown) => {
          running--;
          errors.push(error);
          if (settled) return;
          startNext();
          if (running === 0) lose();
        },
      );
    };
    startNext();
    if (running === 0) lose();
  });
}
