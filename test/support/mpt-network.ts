/**
 * A network in virtual time for tests of the control protocol: initiators' desk on one side, responder on the other,
 * and a list of fates that the datagrams between them meet.
 */
import { InitiatorDesk, type DeskOutput, type Submission } from '../../src/tunnel/control/initiator-desk.ts';
import type { ExchangeOutcome } from '../../src/tunnel/control/exchange.ts';
import type { ControlMessage } from '../../src/tunnel/control/message.ts';
import { Responder, type Admission } from '../../src/tunnel/control/responder.ts';
import { nodeSha256 } from '../../src/tunnel/control/node-crypto.ts';

/** When the copies of one datagram arrive, milliseconds after it was sent; none: it is lost. */
export type Fate = readonly number[];

export interface Executed {
  readonly atMs: number;
  readonly message: ControlMessage;
  readonly peerIsWeft: boolean;
}

export interface NetworkOptions {
  readonly resolve: (message: ControlMessage, from: string) => Admission<string>;
  /** How each datagram fares in turn; afterwards all arrive at once. */
  readonly fates: readonly Fate[];
  /** How long executing takes. */
  readonly workMs?: number;
  readonly answerBody?: Uint8Array;
  /** Another one for another run's tokens. */
  readonly seed?: number;
  /** Sees every datagram when it is sent. */
  readonly tap?: (datagram: Uint8Array, to: 'responder' | 'initiator', nowMs: number) => void;
}

export const INITIATOR = '10.1.1.2:60456';
export const RESPONDER = '10.1.1.3:60456';

export class Network {
  readonly desk = new InitiatorDesk(0);
  readonly responder: Responder<string>;
  readonly executed: Executed[] = [];
  readonly outcomes = new Map<number, ExchangeOutcome>();
  /** When each exchange ended. */
  readonly endedMs = new Map<number, number>();
  nowMs = 0;
  readonly #options: NetworkOptions;
  readonly #fates: Fate[];
  #events: { readonly atMs: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;
  #token: number;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#fates = [...options.fates];
    this.#token = options.seed ?? 1;
    this.responder = new Responder<string>({
      resolve: options.resolve,
      // Predictable here, and never the same twice.
      randomToken: () => (this.#token = (Math.imul(this.#token, 48_271) + 11) >>> 0),
      sha256: nodeSha256,
    });
  }

  submit(submission: Omit<Submission, 'to' | 'sha256'>): number {
    const { id, outputs } = this.desk.submit(
      { ...submission, to: RESPONDER, sha256: nodeSha256 },
      this.nowMs,
    );
    this.#handle(outputs);
    return id;
  }

  at(atMs: number, run: () => void): void {
    this.#events.push({ atMs, order: this.#order++, run });
  }

  /** What anybody can do: a datagram to the responder with any source address. */
  inject(datagram: Uint8Array, from: string): void {
    const action = this.responder.handleDatagram(datagram, from, this.nowMs);
    if (action.kind === 'send') this.#transmit(action.datagram, 'initiator', from);
    if (action.kind !== 'execute') return;
    const { message, peerIsWeft } = action;
    this.executed.push({ atMs: this.nowMs, message, peerIsWeft });
    this.at(this.nowMs + (this.#options.workMs ?? 0), () => {
      const body = this.#options.answerBody ?? new Uint8Array(0);
      const answer = this.responder.complete(action.ticket, 0, body, this.nowMs);
      if (answer !== undefined) this.#transmit(answer.datagram, 'initiator', answer.to);
    });
  }

  /** The same towards the initiator. */
  injectAnswer(datagram: Uint8Array, from: string): void {
    this.#handle(this.desk.handleDatagram(datagram, from, this.nowMs));
  }

  /** Runs until nothing is under way any more. */
  run(): void {
    for (;;) {
      const timer = this.desk.pollDeadline();
      this.#events.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const next = this.#events[0];
      if (timer !== undefined && (next === undefined || timer <= next.atMs)) {
        this.nowMs = Math.max(this.nowMs, timer);
        this.#handle(this.desk.handleTimeout(this.nowMs));
      } else if (next !== undefined) {
        this.#events.shift();
        this.nowMs = Math.max(this.nowMs, next.atMs);
        next.run();
      } else return;
    }
  }

  #handle(outputs: readonly DeskOutput[]): void {
    for (const output of outputs) {
      if (output.kind === 'send') this.#transmit(output.datagram, 'responder', INITIATOR);
      else {
        if (this.outcomes.has(output.id)) throw new Error(`exchange ${output.id} ended twice`);
        this.outcomes.set(output.id, output.outcome);
        this.endedMs.set(output.id, this.nowMs);
      }
    }
  }

  /** `address` is the source of what goes to the responder, and the destination of what goes to an initiator. */
  #transmit(datagram: Uint8Array, to: 'responder' | 'initiator', address: string): void {
    const copy = datagram.slice();
    this.#options.tap?.(copy, to, this.nowMs);
    if (to === 'initiator' && address !== INITIATOR) return;
    for (const delayMs of this.#fates.shift() ?? [0]) {
      this.at(this.nowMs + delayMs, () => {
        if (to === 'responder') this.inject(copy, address);
        else this.injectAnswer(copy, RESPONDER);
      });
    }
  }
}
