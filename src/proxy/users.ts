/**
 * Who a client is: checks user and password against the policy's verifiers, remembers the outcome for a while, and
 * slows clients that guess.
 *
 * A check, in order: the pair's own bucket (address and user) → what is remembered, or under way → both buckets pay →
 * a turn for scrypt, one at a time. A wrong pair that is sent again and again, by a program with an old password, is answered from
 * memory and costs nothing: it slows nobody.
 *
 * Invariant: no password is kept, only an HMAC of it with a key of this process. What is remembered belongs to one
 * verifier, so a changed rules file needs no forgetting.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { clientKey } from './client-limits.ts';
import type { UserSettings } from './policy/types.ts';
import { RateTable } from './rate-table.ts';
import { isPassword, parseVerifier } from './users-verifier.ts';

export type UserVerdict =
  | { readonly kind: 'accepted'; readonly user: string }
  | { readonly kind: 'wrong' }
  /** Too many wrong ones; not looked at. */
  | { readonly kind: 'slowed'; readonly waitMs: number };

export interface UsersOptions {
  /** Of the policy in force; empty: everybody is served. */
  readonly users: () => ReadonlyMap<string, UserSettings>;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** Wrong passwords of one user from one address: ten, then one in 6 s. */
const PAIR_RATE = { burst: 10, perSecond: 1 / 6, maxKeys: 4096 } as const;
/** New guesses from one address, whoever they are for: thirty, then one in 2 s. */
const ADDRESS_RATE = { burst: 30, perSecond: 1 / 2, maxKeys: 4096 } as const;
/** BOUNDED: outcomes that are remembered. */
const MAX_REMEMBERED = 4096;
const REMEMBERED_FOR_MS = 10 * 60_000;
/** BOUNDED: checks that wait for their turn; more are slowed. */
const MAX_WAITING = 64;
const WAIT_WHEN_BUSY_MS = 1000;

interface Outcome {
  readonly right: boolean;
  readonly untilMs: number;
}

export class Users {
  readonly #options: UsersOptions;
  readonly #key = randomBytes(32);
  readonly #pairs = new RateTable(PAIR_RATE);
  readonly #addresses = new RateTable(ADDRESS_RATE);
  /** BOUNDED by MAX_REMEMBERED: the oldest goes first. */
  readonly #remembered = new Map<string, Outcome>();
  /** BOUNDED by MAX_WAITING. Requests with the same pair wait for one check together. */
  readonly #underWay = new Map<string, Promise<UserVerdict>>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: UsersOptions) {
    this.#options = options;
  }

  /** Every client must be a user. */
  get required(): boolean {
    return this.#options.users().size > 0;
  }

  /** @param address the client's; answers at once when the outcome is remembered */
  check(address: string, user: string, password: string): UserVerdict | Promise<UserVerdict> {
    const nowMs = this.#options.nowMs();
    const pair = `${clientKey(address)} ${user}`;
    const pairWaitMs = this.#pairs.waitMs(pair, nowMs);
    if (pairWaitMs > 0) return { kind: 'slowed', waitMs: pairWaitMs };
    const verifierText = this.#options.users().get(user)?.password;
    const digest = this.#digest(user, password, verifierText);
    const known = this.#remembered.get(digest);
    if (known !== undefined && nowMs < known.untilMs) {
      return known.right ? { kind: 'accepted', user } : { kind: 'wrong' };
    }
    const underWay = this.#underWay.get(digest);
    if (underWay !== undefined) return underWay;
    const waitMs = this.#addresses.take(clientKey(address), nowMs);
    if (waitMs > 0) return { kind: 'slowed', waitMs };
    if (this.#underWay.size >= MAX_WAITING) return { kind: 'slowed', waitMs: WAIT_WHEN_BUSY_MS };
    this.#pairs.spend(pair, nowMs);
    const verdict = this.#verify(digest, user, password, verifierText);
    this.#underWay.set(digest, verdict);
    return verdict;
  }

  async #verify(
    digest: string,
    user: string,
    password: string,
    verifierText: string | undefined,
  ): Promise<UserVerdict> {
    // A user that does not exist takes as long as another.
    const [anyUser] = this.#options.users().values();
    const verifier = parseVerifier(verifierText ?? anyUser?.password ?? '');
    // One at a time: names are resolved by the same few threads.
    const checking = this.#turn.then(() => !('reason' in verifier) && isPassword(verifier, password));
    this.#turn = checking.catch(() => {});
    let right = false;
    try {
      right = (await checking) && verifierText !== undefined;
    } finally {
      this.#underWay.delete(digest);
    }
    this.#remember(digest, { right, untilMs: this.#options.nowMs() + REMEMBERED_FOR_MS });
    return right ? { kind: 'accepted', user } : { kind: 'wrong' };
  }

  #digest(user: string, password: string, verifierText: string | undefined): string {
    const parts = [user, password, verifierText ?? ''];
    const hmac = createHmac('sha256', this.#key);
    // With their lengths, so that no two lists of parts look the same.
    for (const part of parts) hmac.update(`${Buffer.byteLength(part)} ${part}`);
    return hmac.digest('base64');
  }

  #remember(digest: string, outcome: Outcome): void {
    this.#remembered.delete(digest);
    this.#remembered.set(digest, outcome);
    if (this.#remembered.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#remembered.keys()) {
      this.#remembered.delete(oldest);
      return;
    }
  }
}
