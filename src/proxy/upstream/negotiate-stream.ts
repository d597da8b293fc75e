/**
 * Asks for a tunnel on a stream (TLS). What came after the answer is put back.
 *
 * Invariant: the stream stays the caller's, whatever comes, with no listener of ours left, and in its first state:
 * whoever reads begins the flow. (A stream that was ever paused stays so for http.Agent's reader; hence `readable`.)
 */
import type { Duplex } from 'node:stream';
import { CLOSED_EARLY, type Negotiation } from './negotiation.ts';
import { NegotiationError } from './negotiate-fd.ts';

/** Rejects with NegotiationError, the stream's error, or the signal's reason. */
export function negotiateStream(
  stream: Duplex,
  negotiation: Negotiation,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let answered = false;
    const finish = (act: () => void) => {
      signal.removeEventListener('abort', onAbort);
      stream.off('readable', onReadable);
      stream.off('end', onEnd);
      stream.off('close', onEnd);
      stream.off('error', onError);
      act();
    };
    const onAbort = () => finish(() => reject(signal.reason as Error));
    const onError = (error: Error) => finish(() => reject(error));
    const onEnd = () => finish(() => reject(new NegotiationError(CLOSED_EARLY, answered)));
    const handleBytes = (chunk: Buffer): boolean => {
      answered = true;
      const { send, ahead, failed } = negotiation.handleBytes(chunk);
      if (send !== undefined) stream.write(send);
      if (failed !== undefined) finish(() => reject(new NegotiationError(failed, true)));
      if (ahead !== undefined) {
        finish(() => {
          if (ahead.length > 0) stream.unshift(Buffer.from(ahead));
          resolve();
        });
      }
      return failed === undefined && ahead === undefined;
    };
    const onReadable = () => {
      let chunk = stream.read() as Buffer | null;
      while (chunk !== null && handleBytes(chunk)) chunk = stream.read() as Buffer | null;
    };
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    if (stream.destroyed) {
      reject(new NegotiationError(CLOSED_EARLY, false));
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    stream.on('readable', onReadable).once('end', onEnd).once('close', onEnd).once('error', onError);
    stream.write(negotiation.first);
  });
}
