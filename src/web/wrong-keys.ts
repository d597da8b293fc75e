/**
 * Slows down who shows wrong tokens (pure, in virtual time). The right token is never slowed, so nobody is locked out
 * by somebody else's guesses; a wrong answer costs the guesser time, and more of them at once are turned away.
 */

/** Wrong ones that are answered at once: somebody opened an old bookmark. */
const FREE = 5;
/** One is forgotten after so long. */
const FORGET_MS = 2000;
const FIRST_DELAY_MS = 100;
export const DELAY_MAX_MS = 2000;
/** BOUNDED: answers that are held back at a time. */
export const DELAYED_MAX = 8;

export class WrongKeys {
  #recent = 0;
  #lookedAtMs = 0;
  #delayed = 0;
  #total = 0;

  /** Since the start. */
  get total(): number {
    return this.#total;
  }

  /**
   * One more.
   * @returns how long its answer is to be held back; `undefined`: turn it away at once. Who is given a time says when it
   * is over: `handleAnswered`
   */
  handleWrong(nowMs: number): number | undefined {
    this.#recent = Math.max(0, this.#recent - Math.max(0, nowMs - this.#lookedAtMs) / FORGET_MS);
    this.#lookedAtMs = nowMs;
    this.#recent = Math.min(this.#recent + 1, 1000);
    this.#total++;
    if (this.#delayed >= DELAYED_MAX) return undefined;
    this.#delayed++;
    const beyond = Math.floor(this.#recent - FREE);
    return beyond <= 0 ? 0 : Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** Math.min(beyond - 1, 10));
  }

  handleAnswered(): void {
    this.#delayed--;
  }
}
