/**
 * When to look at the host again (pure): at once after a message, then, while messages keep coming, once in each
 * quiet time, the last message always included, and once more a moment after that.
 *
 * Invariant: a message about the host is acted on no later than `QUIET_MS` plus the time that one look takes, as long
 * as looks are short. On a host with so many routes that they are not, looks take at most a fifth of the time.
 */
import type { Bearing } from './host-view.ts';

/** Between the end of one look and the start of the next: messages come in bursts of some milliseconds. */
export const QUIET_MS = 20;
/** A look of so many milliseconds is followed by at least this many times as much quiet. */
const QUIET_SHARE = 4;
/** Weft's own changes come back as messages; they are looked at once more when the burst is over. */
export const OWN_MS = 60;
/**
 * BOUNDED: looks in a row that changed something although only Weft's own rules or routes had changed. More mean
 * that somebody else undoes Weft's work, and then the periodic look is often enough.
 */
export const MAX_OWN_TURNS = 5;

export class Pace {
  #dueMs: number | undefined;
  #quietUntilMs = -Infinity;
  #hostSpoke = false;
  #ownTurns = 0;

  /** When to look next; `undefined`: not before something happens. */
  get dueMs(): number | undefined {
    return this.#dueMs;
  }

  /** Whether Weft's own rules and routes are being undone again and again. */
  get contested(): boolean {
    return this.#ownTurns >= MAX_OWN_TURNS;
  }

  handleEvent(bearing: Bearing, nowMs: number): void {
    if (bearing === 'none' || (bearing === 'own' && this.contested)) return;
    if (bearing === 'host') this.#hostSpoke = true;
    const wishMs = bearing === 'host' ? Math.max(nowMs, this.#quietUntilMs) : nowMs + OWN_MS;
    this.#dueMs = Math.min(this.#dueMs ?? Infinity, wishMs);
  }

  /** A look is over. @param changed whether it changed anything on the host */
  handleLook(startMs: number, endMs: number, changed: boolean): void {
    this.#ownTurns = changed && !this.#hostSpoke ? this.#ownTurns + 1 : 0;
    this.#quietUntilMs = endMs + Math.max(QUIET_MS, (endMs - startMs) * QUIET_SHARE);
    // Once more after the last message: the kernel sends some before the deed is done, and of some deeds none.
    this.#dueMs = this.#hostSpoke ? Math.max(endMs + OWN_MS, this.#quietUntilMs) : undefined;
    this.#hostSpoke = false;
  }
}
