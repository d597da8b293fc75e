/**
 * The monotonic clock, equal in all threads of a process and in all processes of a host (CLOCK_MONOTONIC).
 * `performance.now()` counts from another moment in each thread.
 */

/** Milliseconds with fractions. Allocates: once a turn, not once a packet. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Microseconds, whole. */
export function monotonicUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + Math.trunc(nanoseconds / 1000);
}
