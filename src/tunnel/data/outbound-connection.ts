/**
 * A connection as the outbound thread knows it: what goes before its packets, its sequence numbers, which path takes the
 * next packet, and how large packets may be. Does no I/O.
 */
import { FlowPins } from '../paths/flow-pins.ts';
import { makeScheduler } from '../paths/make-scheduler.ts';
import { usableBits, type PathView, type Scheduler } from '../paths/scheduler.ts';
import {
  emitPlainHeader,
  emitSequencedHeader,
  PLAIN_HEADER_BYTES,
  SEQUENCED_HEADER_BYTES,
} from '../wire/data-header.ts';
import { nextSequence } from '../wire/sequence.ts';
import { OutboundPath } from './path-sender.ts';
import type { DataConnection } from './protocol.ts';

/** What an IPv6 link carries at least (RFC 8200 section 5): such packets are tried however small the paths are. */
export const IPV6_MTU_MIN = 1280;

export class OutboundConnection {
  readonly id: number;
  readonly isSequenced: boolean;
  readonly headerBytes: number;
  readonly remoteAddress: Uint8Array;
  readonly innerBytesMax: number;
  readonly counters: Float64Array;
  readonly paths: readonly OutboundPath[];
  readonly pins: FlowPins;
  readonly scheduler: Scheduler;
  readonly #schedulerName: string;
  readonly #firstWord: number;
  sequence: number;
  /** Of the paths that may be used. */
  usable = 0;
  /** Largest inner packet that goes through every path that may be used; Infinity without one. */
  packetBytesMax = Infinity;

  /** Takes the place of `before`: its numbers go on, and its scheduler too if it is to be the same. */
  constructor(connection: DataConnection, before: OutboundConnection | undefined, nowUs: number) {
    this.id = connection.id;
    this.isSequenced = connection.isSequenced;
    this.headerBytes = connection.isSequenced ? SEQUENCED_HEADER_BYTES : PLAIN_HEADER_BYTES;
    this.remoteAddress = connection.remoteAddress;
    this.innerBytesMax = connection.innerBytesMax;
    this.counters = new Float64Array(connection.outboundCounters);
    this.paths = connection.paths.map(
      (path, index) => new OutboundPath(connection.id, index, path, this.counters, before?.paths[index]),
    );
    this.pins = new FlowPins(connection.paths.map(({ pinned }) => pinned));
    this.#schedulerName = connection.scheduler;
    const goesOn =
      before !== undefined &&
      before.#schedulerName === connection.scheduler &&
      before.paths.length === this.paths.length;
    this.scheduler = goesOn ? before.scheduler : makeScheduler(connection.scheduler);
    this.sequence = before?.sequence ?? (connection.firstSequence ?? 0) >>> 0;
    const header = new Uint8Array(SEQUENCED_HEADER_BYTES);
    if (connection.isSequenced) emitSequencedHeader(header, 0, connection.ipVersion, 0);
    else emitPlainHeader(header, 0, connection.ipVersion);
    this.#firstWord = new DataView(header.buffer).getUint32(0);
    this.update(
      connection.paths.map(({ view }) => view),
      nowUs,
    );
  }

  /** Takes the paths as they are now. */
  update(views: readonly PathView[], nowUs: number): void {
    if (views.length !== this.paths.length) return;
    this.scheduler.update(views, nowUs);
    this.usable = usableBits(views);
    this.packetBytesMax = Infinity;
    for (const [index, { isUsable }] of views.entries()) {
      const bytes = this.paths[index]!.datagramBytesMax - this.headerBytes;
      if (isUsable) this.packetBytesMax = Math.min(this.packetBytesMax, bytes);
    }
  }

  /** Whether a packet of so many bytes is refused; the smallest IPv6 packets must be tried. */
  isTooBig(bytes: number, ipVersion: number): boolean {
    return bytes > this.packetBytesMax && (ipVersion === 4 || bytes > IPV6_MTU_MIN);
  }

  /** Writes the header of the next packet so that it ends at `end`, a multiple of 4. Takes a number if there are any. */
  emitHeader(view: DataView, end: number): void {
    if (!this.isSequenced) {
      view.setUint32(end - PLAIN_HEADER_BYTES, this.#firstWord);
      return;
    }
    view.setUint32(end - SEQUENCED_HEADER_BYTES, this.#firstWord);
    view.setUint32(end - 4, this.sequence);
    this.sequence = nextSequence(this.sequence);
  }
}
