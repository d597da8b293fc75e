/**
 * The host's end of the conversation with the guest (guest/protocol.ts): asks, and hands on what the guest says of its
 * own accord.
 *
 * Invariant: what the guest says is data: it is shown, compared and counted, and never becomes a command or a path.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WeftError } from '../../base/index.ts';
import type { GuestEvent, GuestHello, GuestResults, HostRequest } from '../guest/protocol.ts';
import { LineCalls } from './line-calls.ts';

/** What is asked, without its number. */
export type GuestQuestion = HostRequest extends infer R
  ? R extends HostRequest
    ? Omit<R, 'id'>
    : never
  : never;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const CONTROL_CHARACTERS = /[^\x20-\x7e\u00a0-\uffff]/g;
const TEXT_MAX = 500;

/** A text of the guest's, fit for a log: one line, bounded, without control characters. */
export function guestText(value: unknown): string {
  return String(value).replaceAll(CONTROL_CHARACTERS, ' ').slice(0, TEXT_MAX);
}

function readAnswer(answer: Record<string, unknown>): { result: unknown } | { error: WeftError } {
  const { error, ok, result } = answer;
  if (ok === true && isRecord(result)) return { result };
  const failure = isRecord(error) ? error : {};
  const message = guestText(failure['message'] ?? 'it gave no reason');
  return { error: new WeftError(`the guest: ${message}`, { code: guestText(failure['code'] ?? 'GUEST') }) };
}

export class AgentClient {
  readonly #calls: LineCalls;
  readonly #onEvent: (event: GuestEvent) => void;
  /** BOUNDED: the start waits, and nobody else. */
  readonly #helloWaiters = new Set<(hello: GuestHello | undefined) => void>();
  #hello: GuestHello | undefined;

  /**
   * @param end the host's end of the conversation, a stream or the descriptor of one; this object's from now on
   * @param onEnd the conversation has ended; why
   */
  constructor(end: number | Duplex, onEvent: (event: GuestEvent) => void, onEnd: (why: string) => void) {
    this.#onEvent = onEvent;
    this.#calls = new LineCalls(typeof end === 'number' ? new Socket({ fd: end }) : end, {
      who: 'the guest',
      formatCall: (id, call) => JSON.stringify({ id, ...call }),
      readAnswer,
      onEvent: (event) => this.#handleEvent(event),
      onEnd: (why) => {
        for (const waiter of this.#helloWaiters) waiter(undefined);
        onEnd(why);
      },
    });
  }

  #handleEvent(message: Record<string, unknown>): void {
    const { event } = message;
    if (event === 'hello' && isRecord(message['hello'])) {
      this.#hello = message['hello'] as unknown as GuestHello;
      for (const waiter of this.#helloWaiters) waiter(this.#hello);
    }
    if (typeof event === 'string') this.#onEvent(message as unknown as GuestEvent);
  }

  /** What the guest said when it was up. */
  get hello(): GuestHello | undefined {
    return this.#hello;
  }

  /** Waits until the guest is up. @returns `undefined` when it is not within `timeoutMs`, or has ended */
  async waitForHello(timeoutMs: number): Promise<GuestHello | undefined> {
    if (this.#hello !== undefined || this.#calls.ended !== undefined) return this.#hello;
    let timer: NodeJS.Timeout | undefined;
    let waiter: ((hello: GuestHello | undefined) => void) | undefined;
    const hello = await new Promise<GuestHello | undefined>((resolve) => {
      waiter = resolve;
      this.#helloWaiters.add(resolve);
      timer = setTimeout(() => resolve(undefined), timeoutMs);
    });
    clearTimeout(timer);
    if (waiter !== undefined) this.#helloWaiters.delete(waiter);
    return hello;
  }

  /** @throws WeftError with the guest's code; `TIMEOUT`, `ENDED` */
  ask<Name extends HostRequest['do']>(
    question: Extract<GuestQuestion, { readonly do: Name }>,
    timeoutMs: number,
  ): Promise<GuestResults[Name]> {
    return this.#calls.call(question, timeoutMs) as Promise<GuestResults[Name]>;
  }

  /** Harmless when done before. */
  close(): void {
    this.#calls.close();
  }
}
