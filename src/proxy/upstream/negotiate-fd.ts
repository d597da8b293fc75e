/**
 * Asks for a tunnel on a bare descriptor, so that the relay thread can carry what follows without Node's streams.
 *
 * Invariant: the descriptor stays the caller's, whatever comes; nothing watches it afterwards.
 */
import {
  EAGAIN,
  EINTR,
  EPOLLIN,
  lastErrno,
  libc,
  MSG_NOSIGNAL,
  reactor,
  SystemError,
} from '../../native/index.ts';
import type { Watch } from '../../native/index.ts';
import { CLOSED_EARLY, type Negotiation, type NegotiationFailure } from './negotiation.ts';

/** The far end's answer, and nothing of a tunnel that has to stay in the kernel, fits. */
const READ_BYTES = 16 * 1024;

/** A failure as a rejection; the client puts the proxy's name before it. */
export class NegotiationError extends Error {
  readonly failed: NegotiationFailure;
  /** The proxy has said something: asking again would bring the same. */
  readonly isAnswer: boolean;

  constructor(failed: NegotiationFailure, isAnswer: boolean) {
    super(failed.text);
    this.failed = failed;
    this.isAnswer = isAnswer;
  }
}

function sendAll(fd: number, bytes: Uint8Array): void {
  const sent = libc.send(fd, bytes, bytes.length, MSG_NOSIGNAL);
  // A new connection has room for a request of a kilobyte; where not, something is wrong with it.
  if (sent !== bytes.length) {
    throw new SystemError('send', sent < 0 ? lastErrno() : EAGAIN);
  }
}

/**
 * Resolves with the bytes that came after the answer. Rejects with NegotiationError, SystemError, or the signal's
 * reason.
 */
export function negotiateFd(fd: number, negotiation: Negotiation, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let watch: Watch | undefined;
    let answered = false;
    const finish = (act: () => void) => {
      signal.removeEventListener('abort', onAbort);
      watch?.close();
      watch = undefined;
      act();
    };
    const fail = (error: Error) => finish(() => reject(error));
    const onAbort = () => fail(signal.reason as Error);
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    const onReadable = () => {
      const count = libc.recv(fd, buffer, buffer.length, 0);
      if (count < 0) {
        const errno = lastErrno();
        if (errno !== EAGAIN && errno !== EINTR) fail(new SystemError('receive', errno));
        return;
      }
      if (count === 0) {
        fail(new NegotiationError(CLOSED_EARLY, answered));
        return;
      }
      answered = true;
      const { send, ahead, failed } = negotiation.handleBytes(buffer.subarray(0, count));
      if (failed !== undefined) fail(new NegotiationError(failed, true));
      else if (ahead !== undefined) finish(() => resolve(Uint8Array.from(ahead)));
      else if (send !== undefined) tryOr(fail, () => sendAll(fd, send));
    };
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    try {
      sendAll(fd, negotiation.first);
      watch = reactor.watch(fd, EPOLLIN, onReadable);
    } catch (error) {
      reject(error);
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function tryOr(fail: (error: Error) => void, act: () => void): void {
  try {
    act();
  } catch (error) {
    fail(error as Error);
  }
}
