/**
 * What both sides of an exchange share: its four datagrams, its times and its result codes. Pure.
 *
 *   I → R  round 1   announces the length of the body
 *   R → I  round 2   the same message with byte 1 = 0 and, with types 1 and 2, a token
 *   I → R  round 3   the body, and the token of round 2
 *   R → I  round 4   byte 1 = result, the same token, body = answer
 *
 * Rounds 1 and 3 are sent up to six times, 500 ms apart; each phase is over after 3 s.
 */
import type { ControlMessage, ExchangeCommand } from './message.ts';

export const RESEND_MS = 500;
export const SENDS_PER_PHASE = 6;
export const PHASE_MS = RESEND_MS * SENDS_PER_PHASE;

/** Codes of an exchange that ended without the peer's word; the numbers are the original's. */
export const ExchangeFailure = { noAnswer: 1, authentication: 3, wrongRound: 9 } as const;

/** What an initiator wants done. */
export interface ExchangeRequest {
  readonly command: ExchangeCommand;
  /** Byte 1: the status of a path status change, 0 for a create. */
  readonly status: number;
  readonly authType: 0 | 1 | 2;
  readonly ipVersion: 4 | 6;
  /** 16 bytes each. */
  readonly ipLocal: Uint8Array;
  readonly ipRemote: Uint8Array;
  readonly body: Uint8Array;
  /**
   * 0..255, another one each time (`InitiatorDesk` sets it): tells the peer that this is Weft, and late answers from
   * those that are awaited. Absent: exactly the original's bytes.
   */
  readonly exchangeNumber?: number;
  /**
   * Send token 0 in round 3 unless the peer is Weft: what the original does in a create for a connection whose own
   * authentication type is 0. Default: the token is returned.
   */
  readonly withholdToken?: boolean;
}

/** How an exchange ended, at the initiator. */
export interface ExchangeOutcome {
  /** 0, the peer's result, or an `ExchangeFailure`. */
  readonly code: number;
  /** Whether `code` is the peer's word. */
  readonly answered: boolean;
  /** The round that was waited for, or that brought the result: 2 or 4. */
  readonly round: 2 | 4;
  /** Body of round 4. A copy. */
  readonly body: Uint8Array;
  /** The peer echoes marks as only Weft does. */
  readonly peerIsWeft: boolean;
}

/** The original's words for an exchange that failed without the peer's word. */
export function describeFailure(outcome: ExchangeOutcome): string {
  if (outcome.code === ExchangeFailure.noAnswer) return `no answer from peer (round ${outcome.round})`;
  if (outcome.code === ExchangeFailure.wrongRound) return `answers of a wrong round (round ${outcome.round})`;
  if (outcome.code === ExchangeFailure.authentication) {
    return `answers that are not authentic (round ${outcome.round})`;
  }
  return `result ${outcome.code}`;
}

/** Everything that is equal in all messages of one exchange, as a map key. Binary text, not for people. */
export function exchangeIdentity(message: ControlMessage, status: number, from: string): string {
  const fields = [
    message.command,
    status,
    message.authType,
    message.ipVersion,
    message.mark,
    message.exchangeNumber,
    ...message.ipLocal,
    ...message.ipRemote,
  ];
  return `${String.fromCharCode(...fields)}${message.bodyBytes} ${from}`;
}

/** The connection: what the initiator's exchanges are queued by. */
export function exchangeQueueKey(request: ExchangeRequest): string {
  return String.fromCharCode(...request.ipLocal, ...request.ipRemote);
}
