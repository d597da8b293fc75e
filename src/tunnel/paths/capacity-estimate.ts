/**
 * What a path can carry, learned from what arrives (pure; time is in the reports). One a path and direction.
 *
 * A report says what was sent over the path in an interval, and what of it arrived. From it:
 *   - delivered more than ever believed: the capacity is that much at least
 *   - the path is congested (loss beyond its usual one, or round trips well above the shortest): it carries what it
 *     delivered, and the estimate moves there, down at once by a part of the difference
 *   - the path was filled and is not congested: there may be more, so the estimate grows
 *   - otherwise the path was idle, and nothing is learned
 *
 * Until it was congested once, a path may carry more than it was ever given, so its capacity is not known: who took what
 * an idle path happened to carry for its capacity would never give it more.
 *
 * Loss that is there without load (radio) is not congestion: what was seen while the path was little used is taken off.
 */

export interface DeliveryReport {
  readonly intervalMs: number;
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly deliveredPackets: number;
  readonly deliveredBytes: number;
  /** Mean of the interval; absent when none was measured. */
  readonly rttUs?: number;
}

/** Part of the capacity from which on a path counts as filled. */
const FILLED = 0.8;
const GROWTH = 1.1;
const DECREASE_GAIN = 0.5;
const LOSS_GAIN = 0.25;
const CONGESTION_LOSS = 0.02;
const RTT_RATIO = 1.5;
const RTT_MARGIN_US = 10_000;
/** Less would keep a path from ever being tried again: one packet would take longer than every queue elsewhere. */
const CAPACITY_MIN_BPS = 1_000_000;
/** Fewer packets than this say nothing about loss. */
const PACKETS_MIN = 20;
/** The shortest round trip is forgotten slowly, because routes change. */
const MIN_RTT_DRIFT = 1.001;

export class CapacityEstimate {
  #capacityBps: number | undefined;
  #wasCongested = false;
  #lossRatio = 0;
  #idleLossRatio = 0;
  #minRttUs = Infinity;

  /** Absent until the path was filled once. */
  get capacityBps(): number | undefined {
    return this.#wasCongested ? this.#capacityBps : undefined;
  }

  /** Smoothed, 0 to 1. */
  get lossRatio(): number {
    return this.#lossRatio;
  }

  handleReport(report: DeliveryReport): void {
    const { intervalMs, sentPackets, sentBytes, deliveredBytes, rttUs } = report;
    if (!(intervalMs > 0)) return;
    const bps = (bytes: number) => (Math.max(0, bytes) * 8000) / intervalMs;
    const sentBps = bps(sentBytes);
    // More than was sent arrives when packets of the interval before are late.
    const deliveredBps = Math.min(bps(deliveredBytes), sentBps);
    const isFilled = this.#capacityBps === undefined || sentBps >= this.#capacityBps * FILLED;
    const isCongested = this.#observeLoss(report, isFilled) || this.#observeRtt(rttUs);
    if (sentPackets === 0) return;
    if (isCongested && isFilled && sentPackets >= PACKETS_MIN) this.#wasCongested = true;
    const before = this.#capacityBps ?? deliveredBps;
    let after = Math.max(before, deliveredBps);
    if (isCongested && isFilled) after = before + Math.min(0, deliveredBps - before) * DECREASE_GAIN;
    else if (isFilled && sentPackets >= PACKETS_MIN) after = Math.max(deliveredBps, before) * GROWTH;
    this.#capacityBps = Math.max(CAPACITY_MIN_BPS, after);
  }

  /** Whether more is lost than the path loses anyway. */
  #observeLoss({ sentPackets, deliveredPackets }: DeliveryReport, isFilled: boolean): boolean {
    if (sentPackets < PACKETS_MIN) return false;
    const loss = Math.min(1, Math.max(0, 1 - deliveredPackets / sentPackets));
    this.#lossRatio += (loss - this.#lossRatio) * LOSS_GAIN;
    if (!isFilled) this.#idleLossRatio += (loss - this.#idleLossRatio) * LOSS_GAIN;
    return loss > this.#idleLossRatio + CONGESTION_LOSS;
  }

  #observeRtt(rttUs: number | undefined): boolean {
    if (rttUs === undefined) return false;
    this.#minRttUs = Math.min(this.#minRttUs * MIN_RTT_DRIFT, rttUs);
    return rttUs > this.#minRttUs * RTT_RATIO + RTT_MARGIN_US;
  }
}
