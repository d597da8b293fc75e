/**
 * Which of the peer's sessions counts, and that it is no recording (pure). Each end of a path has a random session
 * number for as long as it runs, and numbers its keepalives from 1.
 *
 *     A                                             B
 *     │ mark ─────────────────────────────────────►│
 *     │◄──────────── B's session, for nobody known │   at once, because A does not know B
 *     │ A's session, for B ───────────────────────►│
 *     │◄───────────── B's session, for A, echo     │   A takes B's: it echoes what A sent to this session
 *     │ A's session, for B, echo ─────────────────►│   B takes A's
 *
 * A session is taken when its keepalive is for our session and echoes one of ours that was for it or that is later.
 * So a recording of a peer's earlier session never replaces the one that counts, and within a session every number
 * counts once, in rising order. Without a key this keeps those out who cannot see what goes over the path.
 *
 * While a session counts, another one is only answered, and changes nothing till it is taken: a restart of the peer.
 */
import type { Extension } from './peer-extension.ts';

/** What came last from a session. */
interface Last {
  readonly session: number;
  number: number;
  arrivedUs: number;
}

/** Whom a keepalive is for, and what it echoes. */
export interface Addressee {
  readonly session: number;
  readonly number: number;
  readonly arrivedUs: number;
  readonly isTaken: boolean;
}

/** taken: this session counts from now on; late: numbered like one before or lower. */
export type HandshakeVerdict = 'counts' | 'taken' | 'late' | 'unproven';

export class Handshake {
  readonly #own: number;
  #peer: Last | undefined;
  #candidate: (Last & { challenge: number }) | undefined;

  constructor(ownSession: number) {
    this.#own = ownSession;
  }

  get isEstablished(): boolean {
    return this.#peer !== undefined;
  }

  /** The session that counts. */
  get peerSession(): number | undefined {
    return this.#peer?.session;
  }

  handle(extension: Extension, arrivedUs: number): HandshakeVerdict {
    const { senderSession: session, receiverSession, number, echo } = extension;
    const peer = this.#peer;
    const isForUs = receiverSession === this.#own;
    if (peer !== undefined && isForUs && session === peer.session) {
      if (number <= peer.number) return 'late';
      peer.number = number;
      peer.arrivedUs = arrivedUs;
      return 'counts';
    }
    const candidate = this.#candidate;
    if (candidate?.session !== session) {
      this.#candidate = { session, number, arrivedUs, challenge: Infinity };
      return 'unproven';
    }
    if (number <= candidate.number) return 'late';
    candidate.number = number;
    candidate.arrivedUs = arrivedUs;
    if (!isForUs || echo === undefined || echo.number < candidate.challenge) return 'unproven';
    this.#peer = { session, number, arrivedUs };
    this.#candidate = undefined;
    return 'taken';
  }

  /**
   * Whom the next keepalive, `number`, is for and what it echoes. `isAnswer`: to somebody who is not known yet; others
   * are for the session that counts, if there is one.
   */
  address(number: number, isAnswer: boolean): Addressee | undefined {
    const candidate = this.#candidate;
    const isToPeer = candidate === undefined || (!isAnswer && this.#peer !== undefined);
    const to = isToPeer ? this.#peer : candidate;
    if (to === undefined) return undefined;
    if (!isToPeer) candidate.challenge = Math.min(candidate.challenge, number);
    return { session: to.session, number: to.number, arrivedUs: to.arrivedUs, isTaken: isToPeer };
  }

  /** The peer is no Weft any more. */
  forget(): void {
    this.#peer = undefined;
    this.#candidate = undefined;
  }
}
