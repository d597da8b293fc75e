/**
 * Work with a time limit that others may give up as well. The limit's error is a negotiation's, so that it is told with
 * the proxy's name.
 */
import { NegotiationError } from './negotiate-fd.ts';

/** One signal for the caller's, the client's end and the time limit. */
export async function inTime<T>(
  timeoutMs: number,
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const onAbort = () => stop.abort(signals.find(({ aborted }) => aborted)?.reason);
  const timer = setTimeout(() => {
    const failed = {
      failure: 'timeout',
      text: `no answer within ${timeoutMs / 1000} s (ETIMEDOUT)`,
    } as const;
    stop.abort(new NegotiationError(failed, false));
  }, timeoutMs);
  for (const signal of signals) {
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  }
  try {
    return await work(stop.signal);
  } finally {
    clearTimeout(timer);
    for (const signal of signals) signal.removeEventListener('abort', onAbort);
  }
}
