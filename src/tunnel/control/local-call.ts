/**
 * The client's side of one local command, in virtual time: send, wait for the reply, wait for the end. Each wait
 * lasts cmd_timeout at most, and the message of the original says which of the two failed. Pure; one command a call.
 */
import { emitLocalRequest, parseLocalAnswer } from './local-protocol.ts';

export type LocalOutcome =
  | { readonly kind: 'reply'; readonly ok: boolean; readonly text: string; readonly ended: boolean }
  /** Nothing came: `unsuccessful receive 1` in the original. */
  | { readonly kind: 'no-answer' };

export class LocalCall {
  /** The datagram to send. */
  readonly request: Uint8Array;
  readonly #timeoutMs: number;
  #deadlineMs: number;
  #reply: { readonly ok: boolean; readonly text: string } | undefined;
  #outcome: LocalOutcome | undefined;

  /** `timeoutMs` is the configuration's cmd_timeout. */
  constructor(command: string, timeoutMs: number, nowMs: number) {
    this.request = emitLocalRequest(command);
    this.#timeoutMs = timeoutMs;
    this.#deadlineMs = nowMs + timeoutMs;
  }

  get outcome(): LocalOutcome | undefined {
    return this.#outcome;
  }

  /** When `handleTimeout` is due; `undefined` when the call is over. */
  pollDeadline(): number | undefined {
    return this.#outcome === undefined ? this.#deadlineMs : undefined;
  }

  /** A datagram from the server's command port. A `reply` without `ended` is `unsuccessful receive 2`. */
  handleDatagram(bytes: Uint8Array, nowMs: number): LocalOutcome | undefined {
    if (this.#outcome !== undefined) return this.#outcome;
    const answer = parseLocalAnswer(bytes);
    if (answer?.kind === 'reply' && this.#reply === undefined) {
      this.#reply = { ok: answer.ok, text: answer.text };
      this.#deadlineMs = nowMs + this.#timeoutMs;
    } else if (answer?.kind === 'end' && this.#reply !== undefined) {
      this.#outcome = { kind: 'reply', ...this.#reply, ended: true };
    }
    return this.#outcome;
  }

  handleTimeout(nowMs: number): LocalOutcome | undefined {
    if (this.#outcome === undefined && nowMs >= this.#deadlineMs) {
      this.#outcome =
        this.#reply === undefined ? { kind: 'no-answer' } : { kind: 'reply', ...this.#reply, ended: false };
    }
    return this.#outcome;
  }
}
