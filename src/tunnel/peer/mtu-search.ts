/**
 * The largest datagram that a path carries: packetization layer path MTU discovery (RFC 8899), pure. Probes are
 * keepalives with padding, sent so that nothing fragments them; the peer names the last that arrived whole.
 *
 *   off        the peer is no Weft: the link's MTU counts, less what the kernel refused
 *   trying     probes of the link's MTU; it counts until three of them are lost
 *   searching  the largest that arrived counts (before the first: IPv6's minimum of 1280); first the sizes that links
 *              have, by halves, then in between, until 8 bytes are left
 *   done       after ten minutes the search goes on above; every half minute of a busy path, and when much data is
 *              lost, the size that counts is probed again: three lost mean a black hole, and the search begins anew
 *
 * A probe is lost when it was sent a second ago and the peer has told meanwhile of a later keepalive but not of the
 * probe. A path that is silent altogether proves nothing.
 *
 * Invariant: `datagramBytesMax` is never above the link's MTU, and never was above what arrived for longer than three
 * probes take, while the peer answers.
 */

export interface MtuSearchOptions {
  /** Bytes of the path's IP and UDP headers: 28 or 48. */
  readonly headerBytes: number;
  readonly linkMtu: number;
}

const LARGEST_MTU = 65_535;
/** RFC 8899 calls it MIN_PLPMTU; IPv4 hosts take 576 bytes (RFC 1122). */
const LEAST_MTU = 576;
/** Probed first when the link's MTU fails, and taken for granted till then. */
const BASE_MTU = 1280;
/** What links of the Internet have: tunnels, PPPoE, mobile networks, Ethernet. */
const USUAL_MTUS = [1280, 1400, 1420, 1440, 1460, 1480, 1492, 1500, 9000] as const;
const PRECISION_BYTES = 8;

/** RFC 8899 section 5.1: PROBE_TIMER is not below a second, MAX_PROBES is 3, PMTU_RAISE_TIMER is 600 s. */
const PROBE_MS = 1000;
const PROBES_MAX = 3;
const RAISE_MS = 600_000;
const CONFIRM_MS = 30_000;
/** A suspicion is looked into at most so often. */
const SUSPECT_MS = 10_000;

type Phase = 'off' | 'trying' | 'searching' | 'done' | 'confirming';

export class MtuSearch {
  readonly #headerBytes: number;
  /** UDP payload that the link's MTU leaves. */
  #limit: number;
  #phase: Phase = 'off';
  /** Largest that arrived, or is taken for granted. */
  #low: number;
  /** Smallest that is known not to arrive. */
  #high: number;
  #max: number;
  /** What is probed now. */
  #size = 0;
  #losses = 0;
  /** Number of the probe that is on its way; 0: none. */
  #probe = 0;
  #dueMs = Infinity;
  #raiseMs = Infinity;
  #suspectedMs = -Infinity;

  constructor({ headerBytes, linkMtu }: MtuSearchOptions) {
    this.#headerBytes = headerBytes;
    this.#limit = payloadOf(linkMtu, headerBytes);
    this.#max = this.#limit;
    this.#low = this.#least();
    this.#high = this.#limit + 1;
  }

  /** Largest UDP payload that goes through. */
  get datagramBytesMax(): number {
    return this.#max;
  }

  get isDone(): boolean {
    return this.#phase === 'done' || this.#phase === 'confirming';
  }

  /** When `poll` may have a probe; Infinity for never, and while one is on its way. */
  get nextMs(): number {
    // What became of the probe on its way, the peer's next keepalive says.
    return this.#probe === 0 ? this.#dueMs : Infinity;
  }

  /** The peer answers probes. Nothing happens when it did so before. */
  start(nowMs: number): void {
    if (this.#phase === 'off') this.#begin(nowMs);
  }

  /** The peer does not answer probes. */
  stop(): void {
    this.#phase = 'off';
    this.#probe = 0;
    this.#dueMs = Infinity;
    this.#max = this.#limit;
  }

  /** The link's MTU is another. Whether `datagramBytesMax` changed. */
  setLinkMtu(linkMtu: number, nowMs: number): boolean {
    const limit = payloadOf(linkMtu, this.#headerBytes);
    if (limit === this.#limit) return false;
    const before = this.#max;
    this.#limit = limit;
    if (this.#phase === 'off') this.#max = limit;
    else this.#begin(nowMs);
    return this.#max !== before;
  }

  /** The kernel refused a datagram of `bytes`. Whether `datagramBytesMax` changed. */
  handleTooLong(bytes: number, nowMs: number): boolean {
    const before = this.#max;
    if (bytes > this.#limit || bytes <= this.#least()) return false;
    this.#limit = bytes - 1;
    if (this.#phase === 'off') this.#max = Math.min(this.#max, this.#limit);
    else this.#settle(bytes, nowMs);
    return this.#max !== before;
  }

  /** Much of the data is lost on the path: whether it is the long packets is looked into. */
  suspect(nowMs: number): void {
    if (this.#phase !== 'done' || nowMs - this.#suspectedMs < SUSPECT_MS) return;
    this.#suspectedMs = nowMs;
    this.#aim(this.#max, 'confirming', nowMs);
  }

  /** Size of the probe to be sent now, if any; `handleSent` has to follow. */
  poll(nowMs: number, isBusy: boolean): number | undefined {
    if (nowMs < this.nextMs) return undefined;
    if (this.#phase === 'done') this.#wake(nowMs, isBusy);
    return nowMs < this.nextMs ? undefined : this.#size;
  }

  /** The probe that `poll` named went out as keepalive `number`. */
  handleSent(number: number, nowMs: number): void {
    this.#probe = number;
    this.#dueMs = nowMs + PROBE_MS;
  }

  /**
   * The peer told of keepalive `echoed` and names `arrived` as the last probe that it got. Whether `datagramBytesMax`
   * changed.
   */
  handleEcho(echoed: number, arrived: number, nowMs: number): boolean {
    if (this.#probe === 0) return false;
    const before = this.#max;
    if (arrived === this.#probe) this.#handleArrived(nowMs);
    else if (nowMs >= this.#dueMs && echoed > this.#probe) this.#handleLost(nowMs);
    return this.#max !== before;
  }

  #handleArrived(nowMs: number): void {
    this.#probe = 0;
    this.#low = this.#size;
    if (this.#phase === 'confirming') {
      this.#rest(nowMs);
      return;
    }
    this.#max = this.#low;
    this.#next(nowMs);
  }

  #handleLost(nowMs: number): void {
    this.#probe = 0;
    this.#losses++;
    if (this.#losses < PROBES_MAX) {
      this.#dueMs = nowMs;
      return;
    }
    this.#settle(this.#size, nowMs);
  }

  /** `size` does not go through. */
  #settle(size: number, nowMs: number): void {
    this.#high = Math.min(this.#high, size);
    if (this.#low >= this.#high) this.#low = this.#least();
    if (this.#max >= this.#high) {
      // The sizes in between have not been tried: IPv6's minimum is likely to go through.
      const base = payloadOf(BASE_MTU, this.#headerBytes);
      this.#max = base < this.#high ? Math.max(base, this.#low) : this.#low;
    }
    if (this.#size >= this.#high || this.#phase === 'done') this.#next(nowMs);
  }

  #begin(nowMs: number): void {
    this.#low = this.#least();
    this.#high = this.#limit + 1;
    this.#max = this.#limit;
    this.#raiseMs = Infinity;
    this.#aim(this.#limit, 'trying', nowMs);
  }

  #aim(size: number, phase: Phase, nowMs: number): void {
    this.#size = size;
    this.#phase = phase;
    this.#losses = 0;
    this.#probe = 0;
    this.#dueMs = nowMs;
  }

  /** Chooses the next size, or ends the search. */
  #next(nowMs: number): void {
    if (this.#high - this.#low <= (this.#high > this.#limit ? 1 : PRECISION_BYTES)) {
      // Lower than what was taken for granted, when even that was too long.
      this.#max = Math.min(this.#max, this.#low);
      this.#raiseMs = this.#low < this.#limit ? nowMs + RAISE_MS : Infinity;
      this.#rest(nowMs);
      return;
    }
    this.#aim(this.#choose(), 'searching', nowMs);
  }

  #choose(): number {
    const low = this.#low;
    const high = this.#high;
    // Nothing above is known to fail: the link's own MTU first.
    if (high > this.#limit) return this.#limit;
    const base = payloadOf(BASE_MTU, this.#headerBytes);
    if (low < base && base < high) return base;
    const usual: number[] = [];
    for (const mtu of USUAL_MTUS) {
      const size = payloadOf(mtu, this.#headerBytes);
      if (size > low && size < high) usual.push(size);
    }
    return usual[usual.length >> 1] ?? (low + high) >> 1;
  }

  #least(): number {
    return Math.min(this.#limit, payloadOf(LEAST_MTU, this.#headerBytes));
  }

  #rest(nowMs: number): void {
    this.#phase = 'done';
    this.#probe = 0;
    this.#dueMs = Math.min(nowMs + CONFIRM_MS, this.#raiseMs);
  }

  #wake(nowMs: number, isBusy: boolean): void {
    if (nowMs >= this.#raiseMs) {
      this.#raiseMs = Infinity;
      this.#high = this.#limit + 1;
      this.#next(nowMs);
    } else if (isBusy) this.#aim(this.#max, 'confirming', nowMs);
    else this.#rest(nowMs);
  }
}

function payloadOf(mtu: number, headerBytes: number): number {
  return Math.min(LARGEST_MTU, mtu) - headerBytes;
}
