/**
 * When to try again (pure): a delay that doubles with every failure in a row, and is shortened by chance, so that
 * connections which lost the same path do not all come back in the same moment.
 */

export interface RetryTimes {
  /** After the first failure. */
  readonly firstMs: number;
  readonly longestMs: number;
  /** What has stood for so long ends the row of failures. */
  readonly stableMs: number;
}

export const DEFAULT_RETRY_TIMES: RetryTimes = { firstMs: 1000, longestMs: 60_000, stableMs: 10_000 };

/** Between half of the delay and all of it. @param random 0 to 1 */
export function retryDelayMs(failures: number, times: RetryTimes, random: number): number {
  // 2 ** 30 ms are twelve days; more would only lose precision.
  const doubled = times.firstMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30);
  return Math.min(doubled, times.longestMs) * (0.5 + random / 2);
}
