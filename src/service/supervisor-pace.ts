/**
 * When to look at the host again (pure): at once after a message, and then, while messages keep coming, once in
 * each quiet time, the last message always included.
 *
 * Invariant: a message about the host is acted on no later than `QUIET_MS` plus the time that one look takes.
 */
import type { Bearing } from './host-view.ts';

/** Between the end of one look and the start of the next: messages come in bursts of some milliseconds. */
export const QUIET_MS = 20;
/** Weft's own changes come back as messages; they are looked at once more when the burst is over. */
export const OWN_MS = 60;
/**
 * BOUNDED: looks in a row that changed something although only Weft's own rules or routes had changed. More mean
 * that somebody else undoes Weft's work, and then the periodic look is often enough.
 */
export const MAX_OWN_TURNS = 5;

export class Pace {
  #dueMs: number | undefined;
  #lastEndMs = -Infinity;
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
    const wishMs = bearing === 'host' ? Math.max(nowMs, this.#lastEndMs + QUIET_MS) : nowMs + OWN_MS;
    this.#dueMs = Math.min(this.#dueMs ?? Infinity, wishMs);
  }

  /** A look is over. @param changed whether it changed anything on the host */
  handleLook(endMs: number, changed: boolean): void {
    this.#ownTurns = changed && !this.#hostSpoke ? this.#ownTurns + 1 : 0;
    this.#hostSpoke = false;
    this.#lastEndMs = endMs;
    this.#dueMs = undefined;
  }
}
