/**
 * One exchange, seen from the side that wants something. Pure: bytes and time come as arguments.
 *
 * Invariants: it ends after at most two phases (6 s) whatever is received; with type 2 the peer's word counts only
 * when it is authentic; an answer that does not fit is ignored, so that nobody can end an exchange by sending
 * rubbish into it (the original gives up at the first one). What was wrong is told when the phase is over: 3 where
 * an answer was not authentic, 9 where one was of a wrong round, else 1.
 */
import { WeftError } from '../../base/index.ts';
import { equalBytes, isSealedWith, sealMessage, type Sha256 } from './authentication.ts';
import {
  ExchangeFailure,
  PHASE_MS,
  RESEND_MS,
  type ExchangeOutcome,
  type ExchangeRequest,
} from './exchange.ts';
import {
  controlHeaderBytes,
  ControlResult,
  emitControlMessage,
  MAX_CONTROL_BYTES,
  parseControlMessage,
  WEFT_INITIATOR_MARK,
  WEFT_RESPONDER_MARK,
  type ControlMessage,
} from './message.ts';

export interface InitiatorOptions {
  readonly request: ExchangeRequest;
  /** Key of type 2; unused otherwise. */
  readonly key: Uint8Array;
  /**
   * Keys under which round 2 and refusals, but no success, count as authentic too. The original answers a create for
   * a connection that it has with that connection's key, not with the one that the create is made with.
   */
  readonly refusalKeys?: readonly Uint8Array[];
  readonly sha256: Sha256;
}

/** Throws `TUNNEL_MESSAGE_TOO_LONG` when a request's body does not fit into one datagram. */
export function assertFits(request: ExchangeRequest): void {
  const bytes = controlHeaderBytes(request.authType) + request.body.length;
  if (bytes <= MAX_CONTROL_BYTES) return;
  throw new WeftError(`control message of ${bytes} bytes cannot be sent: too long for one datagram`, {
    code: 'TUNNEL_MESSAGE_TOO_LONG',
    hint: `at most ${MAX_CONTROL_BYTES} bytes; shorten the connection's file`,
  });
}

const NOTHING = new Uint8Array(0);

export class Initiator {
  readonly #options: InitiatorOptions;
  #datagram: Uint8Array;
  #round: 2 | 4 = 2;
  #token = 0;
  #resendAtMs: number;
  #phaseEndMs: number;
  #peerIsWeft = false;
  #sawForgery = false;
  #sawWrongRound = false;
  #outcome: ExchangeOutcome | undefined;

  /** Send `datagram` at once. Throws what `assertFits` throws. */
  constructor(options: InitiatorOptions, nowMs: number) {
    assertFits(options.request);
    this.#options = options;
    this.#resendAtMs = nowMs + RESEND_MS;
    this.#phaseEndMs = nowMs + PHASE_MS;
    this.#datagram = this.#build(1, 0);
  }

  /** What is to be sent now and at each resend. */
  get datagram(): Uint8Array {
    return this.#datagram;
  }

  get outcome(): ExchangeOutcome | undefined {
    return this.#outcome;
  }

  /** When `handleTimeout` is due; `undefined` when the exchange is over. */
  pollDeadline(): number | undefined {
    return this.#outcome === undefined ? Math.min(this.#resendAtMs, this.#phaseEndMs) : undefined;
  }

  /**
   * Whether an answer speaks of this exchange's command and connection and echoes its number. Without a number, late
   * answers to the exchange before are taken for this one's.
   */
  isFor(message: ControlMessage): boolean {
    const { request } = this.#options;
    return (
      message.exchangeNumber === (request.exchangeNumber ?? 0) &&
      message.command === request.command &&
      equalBytes(message.ipLocal, request.ipLocal) &&
      equalBytes(message.ipRemote, request.ipRemote)
    );
  }

  /** Returns the datagram to send, if there is one; look at `outcome` afterwards. */
  handleDatagram(bytes: Uint8Array, nowMs: number): Uint8Array | undefined {
    if (this.#outcome !== undefined) return undefined;
    const message = parseControlMessage(bytes);
    if (typeof message === 'string' || !this.isFor(message)) return undefined;
    if (!this.#isAuthentic(bytes, message)) {
      this.#sawForgery = true;
      return undefined;
    }
    if (message.round !== this.#round) {
      // A second round 2 is a duplicate: the original sends some answers twice.
      if (message.round !== 2) this.#sawWrongRound = true;
      return undefined;
    }
    if (this.#round === 4 && message.token !== this.#token) {
      this.#sawForgery = true;
      return undefined;
    }
    if (message.round === 4 || message.status !== ControlResult.ok) {
      this.#finish(message.status, true, message.round === 4 ? message.body.slice() : NOTHING);
      return undefined;
    }
    return this.#beginSecondPhase(message, nowMs);
  }

  /** Returns the datagram to send again, if it is time; look at `outcome` afterwards. */
  handleTimeout(nowMs: number): Uint8Array | undefined {
    if (this.#outcome !== undefined) return undefined;
    if (nowMs >= this.#phaseEndMs) {
      this.#finish(this.#failure(), false, NOTHING);
      return undefined;
    }
    if (nowMs < this.#resendAtMs) return undefined;
    // Late timers do not bunch: the next one is half a second from now.
    this.#resendAtMs = nowMs + RESEND_MS;
    return this.#datagram;
  }

  #beginSecondPhase(message: ControlMessage, nowMs: number): Uint8Array {
    this.#peerIsWeft = message.mark === WEFT_RESPONDER_MARK;
    this.#round = 4;
    this.#token = message.token;
    const withheld = this.#options.request.withholdToken === true && !this.#peerIsWeft;
    this.#datagram = this.#build(3, withheld ? 0 : message.token);
    this.#resendAtMs = nowMs + RESEND_MS;
    this.#phaseEndMs = nowMs + PHASE_MS;
    this.#sawForgery = false;
    this.#sawWrongRound = false;
    return this.#datagram;
  }

  #isAuthentic(bytes: Uint8Array, message: ControlMessage): boolean {
    const { request, key, refusalKeys, sha256 } = this.#options;
    if (message.authType !== request.authType) return false;
    if (request.authType !== 2 || isSealedWith(bytes, key, sha256)) return true;
    if (message.round === 4 && message.status === ControlResult.ok) return false;
    return (refusalKeys ?? []).some((each) => isSealedWith(bytes, each, sha256));
  }

  #failure(): number {
    if (this.#sawForgery) return ExchangeFailure.authentication;
    return this.#sawWrongRound ? ExchangeFailure.wrongRound : ExchangeFailure.noAnswer;
  }

  #finish(code: number, answered: boolean, body: Uint8Array): void {
    this.#outcome = { code, answered, round: this.#round, body, peerIsWeft: this.#peerIsWeft };
  }

  #build(round: 1 | 3, token: number): Uint8Array {
    const { request, key, sha256 } = this.#options;
    const { exchangeNumber } = request;
    const bytes = emitControlMessage({
      command: request.command,
      status: request.status,
      authType: request.authType,
      token: request.authType === 0 ? 0 : token,
      round,
      ipVersion: request.ipVersion,
      mark: exchangeNumber === undefined ? 0 : WEFT_INITIATOR_MARK,
      exchangeNumber: exchangeNumber ?? 0,
      ipLocal: request.ipLocal,
      ipRemote: request.ipRemote,
      bodyBytes: request.body.length,
      body: request.body,
    });
    if (request.authType === 2) sealMessage(bytes, key, sha256);
    return bytes;
  }
}
