/**
 * TLS streams that end early are reset, so that the other end does not take what it has for the whole: Node ends a
 * connection that is destroyed with FIN alone, and takes such a FIN, without TLS's close_notify, for an orderly end.
 * Between two Wefts this is only the quicker way: what ends without the end's word (frames.ts) is no end to them.
 */
import type { TLSSocket } from 'node:tls';
import { fdOf } from '../../mptcp/index.ts';
import { abortConnection } from '../../native/index.ts';

type Destroy = (error: Error | null, done: (error?: Error | null) => void) => void;

/** From now on `destroy` resets the connection, unless both directions have ended in order. */
export function resetOnDestroy(stream: TLSSocket): void {
  const inner = stream as unknown as { _destroy: Destroy };
  const destroy = inner._destroy;
  inner._destroy = (error, done) => {
    if (!(stream.readableEnded && stream.writableFinished)) {
      try {
        abortConnection(fdOf(stream));
      } catch {
        // It has no descriptor any more: the connection is over.
      }
    }
    destroy.call(stream, error, done);
  };
}
