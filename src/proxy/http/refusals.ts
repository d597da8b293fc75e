/**
 * Answering a client that is not served, on its bare socket, and remembering that it was: what its connection still
 * sends, a request hidden behind a malformed one above all, is read and dropped, never acted on.
 */
import type { Duplex } from 'node:stream';
import type { ProxyTallies, Refusal } from '../counters.ts';
import { rawAnswer } from './answer.ts';

/** How long a client has to take the answer. */
const LINGER_MS = 1000;

export class Refusals {
  readonly #tallies: ProxyTallies;
  readonly #refused = new WeakSet<Duplex>();

  constructor(tallies: ProxyTallies) {
    this.#tallies = tallies;
  }

  /** The connection was refused: nothing more from it counts. */
  has(socket: Duplex): boolean {
    return this.#refused.has(socket);
  }

  /** Counts a refusal whose answer is given in the ordinary way; the connection ends with it. */
  note(socket: Duplex, refusal: Refusal): void {
    this.#tallies.refusals.add(refusal);
    this.#refused.add(socket);
  }

  /** Refuses, answers and closes. */
  refuse(socket: Duplex, refusal: Refusal, status: number, reason: string): void {
    this.note(socket, refusal);
    this.answerAndClose(socket, status, reason);
  }

  /** The same with fields that this answer needs beside the usual ones. */
  refuseWith(
    socket: Duplex,
    refusal: Refusal,
    status: number,
    reason: string,
    fields: Readonly<Record<string, string>>,
  ): void {
    this.note(socket, refusal);
    this.closeWith(socket, rawAnswer(status, reason, fields));
  }

  /** The same for what is no refusal: a failure that ends the connection. */
  answerAndClose(socket: Duplex, status: number, reason: string): void {
    this.closeWith(socket, rawAnswer(status, reason));
  }

  /** Says these bytes, in whatever protocol, and closes. */
  closeWith(socket: Duplex, bytes: Uint8Array): void {
    this.#refused.add(socket);
    if (!socket.writable || hasBegunAnAnswer(socket)) {
      socket.destroy();
      return;
    }
    // What the client still sends is read and dropped: unread bytes would make close() a reset that eats the answer.
    socket.resume();
    socket.end(bytes);
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(timer));
    socket.once('end', () => socket.destroy());
  }
}

interface AnswerUnderWay {
  readonly headersSent: boolean;
}

/** http.Server notes the answer that it is writing on the socket. */
export function answerUnderWay(socket: Duplex): AnswerUnderWay | undefined {
  return (socket as Duplex & { _httpMessage?: AnswerUnderWay | null })._httpMessage ?? undefined;
}

/** Bytes written now would land in the middle of an answer. */
function hasBegunAnAnswer(socket: Duplex): boolean {
  return answerUnderWay(socket)?.headersSent === true;
}
