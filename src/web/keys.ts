/**
 * The keys of the page: the token in the printed address and the sessions that it has been made into. Pure but for
 * the digest; randomness and time are given.
 *
 * Invariants: kept are digests, so that a comparison tells nothing by its time; a session's cookie is never the token.
 * A session is that user's of this machine who has begun it: cookies know no ports.
 * BOUNDED: `SESSIONS_MAX`, the longest unused goes first, and `SESSION_IDLE_MS` unused ends one.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Keys, Session } from './guard.ts';

export const SESSIONS_MAX = 64;
/** A page that is open asks all the time. */
export const SESSION_IDLE_MS = 7 * 24 * 3600 * 1000;

/** Bits that nobody guesses. */
const SECRET_BYTES = 32;

export interface KeyOptions {
  /** The secret of the printed address. */
  readonly token: string;
  readonly randomBytes: (count: number) => Buffer;
  /** Milliseconds of a clock that only goes forward. */
  readonly nowMs: () => number;
}

export interface NewSession extends Session {
  /** The value of its cookie. */
  readonly cookie: string;
}

interface Kept {
  readonly asker: string;
  readonly session: Session;
  usedAtMs: number;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

export class WebKeys implements Keys {
  readonly #token: Buffer;
  readonly #randomBytes: (count: number) => Buffer;
  readonly #nowMs: () => number;
  /** By the digest of the cookie, in hexadecimal; the longest unused first. BOUNDED: `SESSIONS_MAX`. */
  readonly #sessions = new Map<string, Kept>();

  constructor({ nowMs, randomBytes, token }: KeyOptions) {
    this.#token = digest(token);
    this.#randomBytes = randomBytes;
    this.#nowMs = nowMs;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  isToken(text: string): boolean {
    return timingSafeEqual(digest(text), this.#token);
  }

  isSame(a: string, b: string): boolean {
    return timingSafeEqual(digest(a), digest(b));
  }

  /** Begins one, for a browser that has shown the token. @param asker whose it is */
  openSession(asker: string): NewSession {
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= SESSIONS_MAX && oldest !== undefined) this.#sessions.delete(oldest);
    const cookie = this.#secret();
    const session = { changeToken: this.#secret() };
    this.#sessions.set(digest(cookie).toString('hex'), { asker, session, usedAtMs: this.#nowMs() });
    return { cookie, ...session };
  }

  findSession(cookie: string, asker: string): Session | undefined {
    const key = digest(cookie).toString('hex');
    const kept = this.#sessions.get(key);
    if (kept?.asker !== asker) return undefined;
    this.#sessions.delete(key);
    const nowMs = this.#nowMs();
    if (nowMs - kept.usedAtMs > SESSION_IDLE_MS) return undefined;
    kept.usedAtMs = nowMs;
    this.#sessions.set(key, kept);
    return kept.session;
  }

  #secret(): string {
    return this.#randomBytes(SECRET_BYTES).toString('base64url');
  }
}
