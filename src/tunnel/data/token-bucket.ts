/** So many a second, and a few more at once (pure; time is given). */
export class TokenBucket {
  readonly #perUs: number;
  readonly #burst: number;
  #tokens: number;
  #atUs = 0;

  constructor(perSecond: number, burst: number) {
    this.#perUs = perSecond / 1e6;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Whether there is one left; takes it. */
  take(nowUs: number): boolean {
    const elapsedUs = Math.max(0, nowUs - this.#atUs);
    this.#tokens = Math.min(this.#burst, this.#tokens + elapsedUs * this.#perUs);
    this.#atUs = nowUs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
