/**
 * What the data plane has counted of one path, and what shows by it: rates, and data as a sign of life (readings; the
 * layout of the counters is in data/protocol.ts).
 */
import { readPathCounters, type PathCounters } from '../data/data-counters.ts';
import { InboundPathCounter, OutboundPathCounter, pathField } from '../data/protocol.ts';
import type { SendingFacts } from '../peer/types.ts';
import { RateMeter } from './rate-meter.ts';

/** `monotonicMs` of counters that never counted. */
const NEVER = 0;

export class PathTraffic {
  readonly #index: number;
  readonly #outbound: Float64Array;
  readonly #inbound: Float64Array;
  readonly rate: RateMeter;
  #dataMs: number;

  /** `index`: of the path; the blocks are those of its connection. */
  constructor(index: number, outbound: SharedArrayBuffer, inbound: SharedArrayBuffer, nowMs: number) {
    this.#index = index;
    this.#outbound = new Float64Array(outbound);
    this.#inbound = new Float64Array(inbound);
    this.rate = new RateMeter(this.sent.sentBytes, this.#receivedBytes, nowMs);
    // What a connection that this takes the place of has received is no news.
    this.#dataMs = this.#lastDataMs;
  }

  get sent(): SendingFacts {
    return {
      sentPackets: this.#outbound[pathField(this.#index, OutboundPathCounter.packets)] ?? 0,
      sentBytes: this.#outbound[pathField(this.#index, OutboundPathCounter.bytes)] ?? 0,
    };
  }

  counters(): PathCounters {
    return readPathCounters(this.#outbound, this.#inbound, this.#index);
  }

  /** For the rates. */
  look(nowMs: number): void {
    this.rate.look(this.sent.sentBytes, this.#receivedBytes, nowMs);
  }

  /** When the latest data came, in `monotonicMs`; undefined: none since the last call. */
  takeDataMs(): number | undefined {
    const dataMs = this.#lastDataMs;
    if (dataMs <= this.#dataMs) return undefined;
    this.#dataMs = dataMs;
    return dataMs;
  }

  get #receivedBytes(): number {
    return this.#inbound[pathField(this.#index, InboundPathCounter.bytes)] ?? 0;
  }

  get #lastDataMs(): number {
    return this.#inbound[pathField(this.#index, InboundPathCounter.lastDataMs)] ?? NEVER;
  }
}
