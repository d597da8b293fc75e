/**
 * How often keepalives go out and when a silent path is dead (pure; time is given).
 *
 * With an original peer, or if either end has no keepalives or no dead time: as configured, in whole seconds. Two Weft
 * ends that have both agree on less. Each tells with every keepalive when the next comes at the latest; the other
 * takes the path for dead when several of these intervals are over.
 *
 *   busy   data goes or comes over the path: 50 ms, dead after 175 ms
 *   idle   250 ms, dead after 775 ms
 *   dead = intervals · misses + 25 ms + 2 · jitter; misses: 3, more on a path that loses keepalives
 *
 * The jitter is that of a queue that fills and empties; beyond 100 ms it does not count, or nobody would leave a path
 * that is cut while it is full.
 *
 * Both ends see the same data, so both are busy. Whoever slows down says so in four keepalives that still come at the
 * short interval: one that is lost must not look like a dead path.
 *
 * Invariant: never slower than configured.
 */
import type { PathTimers } from '../paths/path-state.ts';

export const BUSY_INTERVAL_MS = 50;
export const IDLE_INTERVAL_MS = 250;
/** Dead on a path that is idle, and on the last path that is left. */
export const PATIENT_DEAD_MS = 950;

const MISSES_MIN = 3;
const MISSES_MAX = 8;
/** So rarely a path that loses packets by chance may look dead, per keepalive: about once in 14 hours at 20 a second. */
const CHANCE = 1e-6;
const MARGIN_MS = 25;
const JITTERS = 2;
const JITTER_MAX_MS = 100;
const ANNOUNCED_AHEAD = 4;
/** Busy: so many packets between two looks that are so far apart, and then for so long. */
const BUSY_PACKETS = 4;
const LOOK_MS = 200;
const BUSY_MS = 2000;
/** What two bytes hold. */
const INTERVAL_MAX_MS = 65_535;

export class AgreedTimers {
  #configured: PathTimers;
  #timers: PathTimers;
  /** What the peer announced last; undefined: no Weft, or it wants no short ones. */
  #peerIntervalMs: number | undefined;
  #lossRatio = 0;
  #jitterMs = 0;
  #busyUntilMs = -Infinity;
  #lookedMs: number;
  #lookedPackets = 0;
  /** Keepalives that still go at the short interval. */
  #ahead = 0;
  #isBusy = false;

  constructor(configured: PathTimers, nowMs: number) {
    this.#lookedMs = nowMs;
    this.#configured = configured;
    this.#timers = configured;
  }

  /** The same object as long as nothing changes. */
  get timers(): PathTimers {
    return this.#timers;
  }

  /** For a path that is the last: a peer that stops for a moment must not take the tunnel down. */
  get patientDeadMs(): number {
    const { deadMs } = this.#configured;
    if (this.#peerIntervalMs === undefined) return deadMs;
    return Math.min(deadMs, Math.max(PATIENT_DEAD_MS, this.#timers.deadMs));
  }

  /** Whether this end is ready for short intervals. */
  get wantsShort(): boolean {
    return this.#configured.keepaliveMs > 0 && this.#configured.deadMs > 0;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  setConfigured(configured: PathTimers): void {
    this.#configured = configured;
    this.#settle();
  }

  /** Data packets of both directions over the path so far. */
  handleActivity(packets: number, nowMs: number): void {
    // Counters that begin anew make one look that sees nothing.
    if (nowMs - this.#lookedMs >= LOOK_MS || packets < this.#lookedPackets) {
      if (packets - this.#lookedPackets >= BUSY_PACKETS) this.#busyUntilMs = nowMs + BUSY_MS;
      this.#lookedMs = nowMs;
      this.#lookedPackets = packets;
    }
    const isBusy = nowMs < this.#busyUntilMs;
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    this.#ahead = isBusy ? 0 : ANNOUNCED_AHEAD;
    this.#settle();
  }

  /** What the peer's keepalive says; loss and jitter are of what comes from it. */
  handlePeer(intervalMs: number, wantsShort: boolean, lossRatio: number, jitterUs: number): void {
    this.#peerIntervalMs = wantsShort && intervalMs > 0 ? intervalMs : undefined;
    this.#lossRatio = lossRatio;
    // In steps, so that the dead time is not another one with each keepalive.
    this.#jitterMs = Math.min(JITTER_MAX_MS, Math.ceil((JITTERS * jitterUs) / 1e4) * 10);
    if (jitterUs < 1000) this.#jitterMs = 0;
    this.#settle();
  }

  /** The peer is no Weft any more. */
  handlePeerGone(): void {
    this.#peerIntervalMs = undefined;
    this.#settle();
  }

  /** A keepalive goes out: what it says of the next, in milliseconds; 0: none come regularly. */
  announce(): number {
    if (this.#isShort() && this.#ahead > 0 && --this.#ahead === 0) this.#settle();
    return this.announced;
  }

  /** What `announce` says, without a keepalive. */
  get announced(): number {
    if (!this.#isShort()) return Math.min(INTERVAL_MAX_MS, this.#configured.keepaliveMs);
    return Math.min(this.#configured.keepaliveMs, this.#isBusy ? BUSY_INTERVAL_MS : IDLE_INTERVAL_MS);
  }

  #isShort(): boolean {
    return this.wantsShort && this.#peerIntervalMs !== undefined;
  }

  #settle(): void {
    const next = this.#isShort() ? this.#shortTimers() : this.#configured;
    const { keepaliveMs, deadMs } = this.#timers;
    if (next.keepaliveMs !== keepaliveMs || next.deadMs !== deadMs) this.#timers = next;
  }

  #shortTimers(): PathTimers {
    const isQuick = this.#isBusy || this.#ahead > 0;
    const interval = isQuick ? BUSY_INTERVAL_MS : IDLE_INTERVAL_MS;
    const peerMs = this.#peerIntervalMs!;
    const rareMs = peerMs * missesFor(this.#lossRatio) + MARGIN_MS + this.#jitterMs;
    const leastMs = peerMs * MISSES_MIN + MARGIN_MS;
    const deadMs = Math.min(rareMs, Math.max(PATIENT_DEAD_MS, leastMs));
    return {
      keepaliveMs: Math.min(this.#configured.keepaliveMs, interval),
      deadMs: Math.min(this.#configured.deadMs, deadMs),
    };
  }
}

/** How many keepalives in a row have to be missing, if that part of them is lost by chance. */
function missesFor(lossRatio: number): number {
  if (lossRatio <= 0) return MISSES_MIN;
  if (lossRatio >= 1) return MISSES_MAX;
  const misses = Math.ceil(Math.log(CHANCE) / Math.log(lossRatio));
  return Math.min(MISSES_MAX, Math.max(MISSES_MIN, misses));
}
