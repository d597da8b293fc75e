/**
 * What is measured of a path between Weft peers (pure; time is given): round trip, jitter, loss in each direction,
 * rate and capacity towards the peer.
 *
 * A sender remembers for each keepalive when it went out and what the path had carried before. The receiver notes what
 * it had received when that keepalive arrived, and sends this back with the keepalive's number and how long it kept it.
 * A path keeps the order nearly always, so between two such keepalives what was sent and what arrived belong together:
 * the loss is exact, whatever the delay is. Nothing needs equal clocks.
 *
 *   round trip   arrival of the echo - sending of the echoed keepalive - time that the peer kept it; RFC 6298 smoothing
 *   jitter       RFC 3550 section 6.4.1, of keepalives that arrive
 *   loss         1 - arrived / sent between two keepalives; those with data and the keepalives themselves (not probes)
 *   rate         data that arrived, by the receiver's clock: while a queue grows it is less than what is sent
 *
 * Invariant: what does not fit (numbers that are not remembered, counters that went back) is left out, never guessed.
 */
import { CapacityEstimate } from '../paths/capacity-estimate.ts';

/** Two counters as the meter compares them. */
interface Counts {
  readonly packets: number;
  readonly bytes: number;
}

/** What the peer says of our keepalive that it got last. */
export interface EchoedFacts {
  readonly number: number;
  readonly heldUs: number;
  /** The peer's clock at the arrival, µs modulo 2^32. */
  readonly peerArrivedUs: number;
  /** Absent: only the round trip can be measured. */
  readonly counts?: { readonly receivedPackets: number; readonly receivedBytes: number };
}

/** BOUNDED: keepalives remembered; at 50 ms it is 6.4 s of round trip. */
const REMEMBERED = 128;
const U32 = 2 ** 32;
const U48 = 2 ** 48;
/** Reports for the capacity are made over so much time at least. */
const REPORT_MIN_US = 200_000;
/** A report over more than this says nothing about now. */
const REPORT_MAX_US = 5_000_000;
const RATE_GAIN = 0.5;

export class PathMeter {
  readonly #capacity = new CapacityEstimate();
  readonly #sentUs = new Float64Array(REMEMBERED);
  readonly #sentNumbers = new Float64Array(REMEMBERED);
  readonly #sentPackets = new Float64Array(REMEMBERED);
  readonly #sentBytes = new Float64Array(REMEMBERED);
  readonly #outgoing = new LossMeter();
  readonly #incoming = new LossMeter();
  #rttUs: number | undefined;
  #rttVarianceUs = 0;
  #jitterUs: number | undefined;
  #transitUs: number | undefined;
  #echoedNumber = 0;
  #deliveredBps: number | undefined;
  /** Where the report under way begins. */
  #from: { readonly sent: Counts; readonly received: Counts; readonly peerUs: number } | undefined;
  #rttSumUs = 0;
  #rttCount = 0;

  get rttUs(): number | undefined {
    return this.#rttUs;
  }

  /** Mean deviation of the round trip. */
  get rttVarianceUs(): number {
    return this.#rttVarianceUs;
  }

  get jitterUs(): number | undefined {
    return this.#jitterUs;
  }

  /** Of what goes to the peer. */
  get lossRatio(): number | undefined {
    return this.#outgoing.ratio;
  }

  get incomingLossRatio(): number | undefined {
    return this.#incoming.ratio;
  }

  get deliveredBps(): number | undefined {
    return this.#deliveredBps;
  }

  get capacityBps(): number | undefined {
    return this.#capacity.capacityBps;
  }

  /** Keepalive `number` goes out; the counts are what went out before it. */
  handleSent(number: number, nowUs: number, packets: number, bytes: number): void {
    const slot = number % REMEMBERED;
    this.#sentNumbers[slot] = number;
    this.#sentUs[slot] = nowUs;
    this.#sentPackets[slot] = packets;
    this.#sentBytes[slot] = bytes;
  }

  /**
   * A keepalive came in. `sentUs`: the peer's clock modulo 2^32; `sent`: what the peer had sent before it;
   * `received`: what of it was there.
   */
  handleArrival(sentUs: number, arrivedUs: number, sentPackets: number, receivedPackets: number): void {
    const transitUs = (arrivedUs - sentUs) | 0;
    if (this.#transitUs !== undefined) {
      const changeUs = Math.abs((transitUs - this.#transitUs) | 0);
      this.#jitterUs ??= 0;
      this.#jitterUs += (changeUs - this.#jitterUs) / 16;
    }
    this.#transitUs = transitUs;
    this.#incoming.observe(sentPackets, receivedPackets, arrivedUs);
  }

  /** The peer told what it got. Whether a measure changed that schedulers look at. */
  handleEcho(echo: EchoedFacts, arrivedUs: number): boolean {
    const slot = echo.number % REMEMBERED;
    if (echo.number <= this.#echoedNumber || this.#sentNumbers[slot] !== echo.number) return false;
    this.#echoedNumber = echo.number;
    const sent = { packets: this.#sentPackets[slot]!, bytes: this.#sentBytes[slot]! };
    const rttUs = arrivedUs - this.#sentUs[slot]! - echo.heldUs;
    const isFirst = this.#rttUs === undefined;
    if (rttUs >= 0) this.#observeRtt(rttUs);
    if (echo.counts === undefined) return isFirst;
    const received = { packets: echo.counts.receivedPackets, bytes: echo.counts.receivedBytes };
    this.#outgoing.observe(sent.packets, received.packets, arrivedUs);
    return this.#report(sent, received, echo.peerArrivedUs) || isFirst;
  }

  /** Another process speaks there: counters begin anew. What was learned of the path stays. */
  handleRestart(): void {
    this.#transitUs = undefined;
    this.#from = undefined;
    this.#outgoing.forget();
    this.#incoming.forget();
  }

  #observeRtt(rttUs: number): void {
    this.#rttSumUs += rttUs;
    this.#rttCount++;
    if (this.#rttUs === undefined) {
      this.#rttUs = rttUs;
      this.#rttVarianceUs = rttUs / 2;
      return;
    }
    this.#rttVarianceUs += (Math.abs(this.#rttUs - rttUs) - this.#rttVarianceUs) / 4;
    this.#rttUs += (rttUs - this.#rttUs) / 8;
  }

  #report(sent: Counts, received: Counts, peerUs: number): boolean {
    const from = this.#from;
    const intervalUs = from === undefined ? 0 : (peerUs - from.peerUs) >>> 0;
    if (from !== undefined && intervalUs < REPORT_MIN_US) return false;
    const rttUs = this.#rttCount > 0 ? this.#rttSumUs / this.#rttCount : undefined;
    this.#from = { sent, received, peerUs };
    this.#rttSumUs = 0;
    this.#rttCount = 0;
    if (from === undefined || intervalUs > REPORT_MAX_US) return false;
    const sentBytes = sent.bytes - from.sent.bytes;
    const deliveredBytes = difference(received.bytes, from.received.bytes, U48);
    const sentPackets = sent.packets - from.sent.packets;
    const deliveredPackets = difference(received.packets, from.received.packets, U32);
    if (sentBytes < 0 || deliveredBytes < 0 || sentPackets < 0 || deliveredPackets < 0) return false;
    const bps = (deliveredBytes * 8e6) / intervalUs;
    this.#deliveredBps =
      this.#deliveredBps === undefined ? bps : this.#deliveredBps + (bps - this.#deliveredBps) * RATE_GAIN;
    if (sentBytes > 0) {
      this.#capacity.handleReport({
        intervalMs: intervalUs / 1000,
        sentPackets,
        sentBytes,
        deliveredPackets,
        deliveredBytes,
        ...(rttUs === undefined ? {} : { rttUs }),
      });
    }
    return true;
  }
}

/** A loss is said over so many packets at least, and so much time. */
const LOSS_PACKETS_MIN = 20;
const LOSS_MIN_US = 500_000;
const LOSS_GAIN = 0.25;

/**
 * Loss of one direction, smoothed. Packets that are counted on one side of a keepalive and arrive on the other make a
 * window too good and the next too bad by as many; so windows below zero count as they are and only the answer is cut.
 */
class LossMeter {
  #from: { readonly sent: number; readonly received: number; readonly atUs: number } | undefined;
  #ratio: number | undefined;

  get ratio(): number | undefined {
    return this.#ratio === undefined ? undefined : Math.min(1, Math.max(0, this.#ratio));
  }

  observe(sent: number, received: number, atUs: number): void {
    const from = this.#from;
    const sentBetween = from === undefined ? -1 : difference(sent, from.sent, U32);
    const receivedBetween = from === undefined ? -1 : difference(received, from.received, U32);
    if (from === undefined || sentBetween < 0 || receivedBetween < 0) {
      this.#from = { sent, received, atUs };
      return;
    }
    if (sentBetween < LOSS_PACKETS_MIN || atUs - from.atUs < LOSS_MIN_US) return;
    this.#from = { sent, received, atUs };
    const loss = 1 - receivedBetween / sentBetween;
    this.#ratio = this.#ratio === undefined ? loss : this.#ratio + (loss - this.#ratio) * LOSS_GAIN;
  }

  forget(): void {
    this.#from = undefined;
  }
}

/** How much a counter of that range grew; -1 when it went back. */
function difference(after: number, before: number, range: number): number {
  const grown = (after - before) % range;
  const positive = grown < 0 ? grown + range : grown;
  return positive < range / 2 ? positive : -1;
}
