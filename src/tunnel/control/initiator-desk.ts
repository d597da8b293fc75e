/**
 * Exchanges begun on this side, several at once. Answers name the connection but no path and no number, and an
 * original responder has one token and one expected round for each connection, so exchanges about one connection run
 * one after another, whatever path they take; those of different connections run side by side. Pure.
 *
 * Invariant: each submitted exchange ends with exactly one `done`, unless it is cancelled.
 */
import { WeftError } from '../../base/index.ts';
import { exchangeQueueKey, type ExchangeOutcome } from './exchange.ts';
import { assertFits, Initiator, type InitiatorOptions } from './initiator.ts';
import { parseControlMessage } from './message.ts';

export interface Submission extends InitiatorOptions {
  /** `ADDRESS:PORT` of the peer's command port, as the driver writes it. */
  readonly to: string;
  /** Other sources from which the peer may answer: a peer with several addresses may not answer from `to`. */
  readonly alsoFrom?: readonly string[];
  /** Exactly the original's bytes, without number: for tests against recorded packets. */
  readonly plain?: boolean;
}

export type DeskOutput =
  | { readonly kind: 'send'; readonly to: string; readonly datagram: Uint8Array }
  | { readonly kind: 'done'; readonly id: number; readonly outcome: ExchangeOutcome };

interface Entry {
  readonly id: number;
  readonly submission: Submission;
  initiator: Initiator | undefined;
}

/** 20 paths of a few dozen connections changing at once. */
const MAX_EXCHANGES = 1024;

export class InitiatorDesk {
  /** BOUNDED: all entries together at most `MAX_EXCHANGES`; the first of each queue is the running one. */
  readonly #queues = new Map<string, Entry[]>();
  readonly #firstNumber: number;
  #nextId = 1;
  #count = 0;
  /** Datagrams that belonged to no exchange. */
  strays = 0;

  /** `firstNumber`: any integer, random, so that a restarted program does not repeat its numbers. */
  constructor(firstNumber: number) {
    this.#firstNumber = firstNumber;
  }

  get size(): number {
    return this.#count;
  }

  /**
   * Begins or queues an exchange. Throws `TUNNEL_BUSY` when too many wait, and what `assertFits` throws.
   * The time of a queued exchange begins when it is sent.
   */
  submit(submission: Submission, nowMs: number): { readonly id: number; readonly outputs: DeskOutput[] } {
    if (this.#count >= MAX_EXCHANGES) {
      throw new WeftError(`no exchange with ${submission.to}: ${this.#count} others are under way`, {
        code: 'TUNNEL_BUSY',
        hint: 'wait until the peers have answered',
      });
    }
    assertFits(submission.request);
    const exchangeNumber = (this.#firstNumber + this.#nextId) & 0xff;
    const request =
      submission.plain === true ? submission.request : { ...submission.request, exchangeNumber };
    const entry: Entry = { id: this.#nextId, submission: { ...submission, request }, initiator: undefined };
    const key = exchangeQueueKey(submission.request);
    const queue = this.#queues.get(key) ?? [];
    const outputs: DeskOutput[] = [];
    if (queue.length === 0) outputs.push(begin(entry, nowMs));
    this.#nextId++;
    this.#count++;
    queue.push(entry);
    this.#queues.set(key, queue);
    return { id: entry.id, outputs };
  }

  /** Forgets an exchange; what was sent cannot be taken back. */
  cancel(id: number, nowMs: number): DeskOutput[] {
    for (const [key, queue] of this.#queues) {
      const at = queue.findIndex((entry) => entry.id === id);
      if (at < 0) continue;
      const outputs: DeskOutput[] = [];
      this.#remove(key, queue, at, nowMs, outputs);
      return outputs;
    }
    return [];
  }

  /** A datagram of round 2 or 4 from the command port. */
  handleDatagram(bytes: Uint8Array, from: string, nowMs: number): DeskOutput[] {
    const message = parseControlMessage(bytes);
    const outputs: DeskOutput[] = [];
    if (typeof message !== 'string') {
      for (const [key, queue] of this.#queues) {
        const entry = queue[0]!;
        if (!comesFrom(entry.submission, from) || entry.initiator?.isFor(message) !== true) continue;
        const datagram = entry.initiator.handleDatagram(bytes, nowMs);
        this.#collect(key, queue, datagram, nowMs, outputs);
        return outputs;
      }
    }
    this.strays++;
    return outputs;
  }

  pollDeadline(): number | undefined {
    let earliest: number | undefined;
    for (const queue of this.#queues.values()) {
      const deadline = queue[0]?.initiator?.pollDeadline();
      if (deadline !== undefined && (earliest === undefined || deadline < earliest)) earliest = deadline;
    }
    return earliest;
  }

  handleTimeout(nowMs: number): DeskOutput[] {
    const outputs: DeskOutput[] = [];
    for (const [key, queue] of this.#queues) {
      const datagram = queue[0]?.initiator?.handleTimeout(nowMs);
      this.#collect(key, queue, datagram, nowMs, outputs);
    }
    return outputs;
  }

  #collect(
    key: string,
    queue: Entry[],
    datagram: Uint8Array | undefined,
    nowMs: number,
    outputs: DeskOutput[],
  ) {
    const entry = queue[0]!;
    if (datagram !== undefined) outputs.push({ kind: 'send', to: entry.submission.to, datagram });
    const outcome = entry.initiator?.outcome;
    if (outcome === undefined) return;
    outputs.push({ kind: 'done', id: entry.id, outcome });
    this.#remove(key, queue, 0, nowMs, outputs);
  }

  #remove(key: string, queue: Entry[], at: number, nowMs: number, outputs: DeskOutput[]) {
    queue.splice(at, 1);
    this.#count--;
    const next = queue[0];
    if (next === undefined) this.#queues.delete(key);
    else if (next.initiator === undefined) outputs.push(begin(next, nowMs));
  }
}

function begin(entry: Entry, nowMs: number): DeskOutput {
  entry.initiator = new Initiator(entry.submission, nowMs);
  return { kind: 'send', to: entry.submission.to, datagram: entry.initiator.datagram };
}

function comesFrom(submission: Submission, from: string): boolean {
  return from === submission.to || submission.alsoFrom?.includes(from) === true;
}
