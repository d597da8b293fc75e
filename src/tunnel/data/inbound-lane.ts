/**
 * What was read of one path and is not yet dealt with: walks over messages and the datagrams in them, stops at each
 * data packet (the head), and deals with everything else on the way. The loop has a lane for each path of a connection
 * and takes their heads in the order of their numbers, so that packets which are all here are never taken for
 * reordered, however much one path brought before the next was read.
 *
 * Invariant: a lane that has no head has read its socket empty, or the turn's reads are used up.
 */
import { classifyDatagram, DatagramKind } from '../wire/classify.ts';
import { headerBytesAt, isSequenced, SEQUENCED_HEADER_BYTES, sequenceAt } from '../wire/data-header.ts';
import { isBefore } from '../wire/sequence.ts';
import { DatagramReader, MESSAGES } from './datagram-reader.ts';
import type { InboundConnection } from './inbound-connection.ts';
import type { InboundPath } from './inbound-path.ts';
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, TCP, UDP } from './inner-packet.ts';
import { TCP_BYTES } from './merge-run.ts';
import type { PacketMemory } from './packet-memory.ts';
import { NO_SLOT, SEGMENTS_MAX, type PacketSlots } from './packet-slots.ts';
import { InboundCounter, InboundPathCounter } from './protocol.ts';
import type { SegmentMerger } from './segment-merger.ts';

const SUMS_BYTES = SEGMENTS_MAX * 4;
const UNKNOWN_SUM = -1;
const IPV4_PLAIN = 0x45;
const TCP_SEQUENCE = 4;
const u16 = 0xffff;

/** What a lane reserves of the memory beside its reader. */
export const LANE_MEMORY_BYTES = SUMS_BYTES + 64;

/** What a lane needs of the loop. */
export interface LaneHost {
  /** Sees to room for one read; `false`: this turn has read enough. */
  prepareRead(): boolean;
  handleReadError(path: InboundPath, errno: number): void;
  /** `senderAt`: offset of the sender's sockaddr. */
  passKeepalive(
    connection: InboundConnection,
    path: InboundPath,
    at: number,
    lengthBytes: number,
    senderAt: number,
    isFromPeer: boolean,
  ): void;
}

export class InboundLane {
  readonly #host: LaneHost;
  readonly #memory: PacketMemory;
  readonly #slots: PacketSlots;
  readonly #merger: SegmentMerger;
  readonly #reader: DatagramReader;
  readonly #sumsAt: number;
  #connection: InboundConnection | undefined;
  #path: InboundPath | undefined;
  #nowMs = 0;
  /** Messages of the last read. */
  #messages = 0;
  #message = 0;
  /** Of the message at hand: its buffer, bytes, bytes of each datagram, bytes and datagrams passed. */
  #start = 0;
  #total = 0;
  #each = 0;
  #done = 0;
  #index = 0;
  #isFromPeer = false;
  #hasSums = false;
  /** Data packets and bytes that are not in the counters yet. */
  #packets = 0;
  #bytes = 0;
  /** The head: offset, length, and number if it has one. */
  #at = 0;
  #lengthBytes = 0;
  hasHead = false;
  isNumbered = false;
  /** The head's number; where it has none and is a TCP segment, the place of its payload in the stream. */
  sequence = 0;
  /** Tells flows of TCP apart, nearly always; 0: none, or the head has a number. */
  #flow = 0;
  /** Messages read since `begin`. */
  messagesRead = 0;

  constructor(memory: PacketMemory, slots: PacketSlots, merger: SegmentMerger, host: LaneHost) {
    this.#memory = memory;
    this.#slots = slots;
    this.#merger = merger;
    this.#host = host;
    this.#reader = new DatagramReader(memory, slots);
    this.#sumsAt = memory.reserve(SUMS_BYTES);
  }

  /** Reads the path and goes to its first data packet. */
  begin(connection: InboundConnection, path: InboundPath, nowMs: number): void {
    this.#connection = connection;
    this.#path = path;
    this.#nowMs = nowMs;
    this.#messages = 0;
    this.#message = 0;
    this.messagesRead = 0;
    this.hasHead = false;
    this.#read();
    this.#findHead();
  }

  /** Gives the head to its connection and goes to the next. */
  deliver(): void {
    const connection = this.#connection!;
    const { bytes, view } = this.#memory;
    const at = this.#at;
    const headerBytes = headerBytesAt(bytes, at);
    let sum = UNKNOWN_SUM;
    if (this.#hasSums) {
      // Of the whole datagram, without the words of its header.
      sum = this.#memory.words[(this.#sumsAt >>> 2) + this.#index - 1]! + 4 * u16;
      sum -= view.getUint16(at) + view.getUint16(at + 2);
      if (headerBytes === SEQUENCED_HEADER_BYTES) sum -= view.getUint16(at + 4) + view.getUint16(at + 6);
    }
    const buffer = this.#reader.buffers[this.#message]!;
    const slot = this.#slots.take(buffer, at + headerBytes, this.#lengthBytes - headerBytes, sum);
    if (slot === NO_SLOT) this.#path!.count(InboundPathCounter.malformed, 1);
    else if (this.isNumbered) connection.take(slot, this.sequence, this.#path!.index, this.#nowMs);
    else connection.takePlain(slot);
    this.#findHead();
  }

  /** Goes on to the next data packet; reads again while the socket may have more. */
  #findHead(): void {
    const { bytes } = this.#memory;
    for (;;) {
      if (this.#done >= this.#total && !this.#openMessage()) {
        this.hasHead = false;
        return;
      }
      const at = this.#start + this.#done;
      const length = Math.min(this.#each, this.#total - this.#done);
      this.#done += length;
      this.#index++;
      const kind = classifyDatagram(bytes, at, length);
      if (kind === DatagramKind.data && this.#isFromPeer) {
        this.#packets++;
        this.#bytes += length;
        this.#at = at;
        this.#lengthBytes = length;
        this.isNumbered = isSequenced(bytes, at);
        if (this.isNumbered) this.sequence = sequenceAt(bytes, at);
        else this.#readFlow(at, length);
        this.hasHead = true;
        return;
      }
      this.#passOther(kind, at, length);
    }
  }

  /**
   * Whether the head goes before the other's: by number, and before those that have none; without numbers, segments of a
   * TCP stream by their place in it, so that what two paths brought becomes one super-packet. Others are never in order.
   */
  isBefore(other: InboundLane): boolean {
    if (this.isNumbered !== other.isNumbered) return other.isNumbered;
    if (!this.isNumbered && (this.#flow === 0 || this.#flow !== other.#flow)) return true;
    return isBefore(this.sequence, other.sequence);
  }

  #readFlow(at: number, length: number): void {
    const { bytes, view } = this.#memory;
    const ip = at + headerBytesAt(bytes, at);
    const isV4 = bytes[ip] === IPV4_PLAIN;
    const transport = ip + (isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
    const protocol = isV4 ? bytes[ip + 9]! : bytes[ip]! >>> 4 === 6 ? bytes[ip + 6]! : 0;
    this.#flow = 0;
    if (protocol !== TCP || transport + TCP_BYTES > at + length) return;
    let flow = 1;
    for (let i = ip + (isV4 ? 12 : 8); i < transport + 4; i += 4)
      flow = Math.imul(flow, 31) + view.getInt32(i);
    this.#flow = flow | 0;
    this.sequence = view.getUint32(transport + TCP_SEQUENCE);
  }

  #passOther(kind: DatagramKind, at: number, length: number): void {
    const path = this.#path!;
    const isFromPeer = this.#isFromPeer;
    if (!isFromPeer) path.count(InboundPathCounter.strangers, 1);
    if (kind === DatagramKind.keepalive) {
      // It tells what had arrived before it.
      this.#note();
      const senderAt = this.#reader.senderAt(this.#message);
      this.#host.passKeepalive(this.#connection!, path, at, length, senderAt, isFromPeer);
    } else if (isFromPeer) path.count(InboundPathCounter.malformed, 1);
  }

  /** Opens the next message, with a further read if the last one may have left some. `false`: there is none. */
  #openMessage(): boolean {
    for (;;) {
      if (this.#total > 0) {
        this.#total = 0;
        this.#reader.done(this.#message++);
      }
      if (this.#message >= this.#messages) {
        this.#note();
        if (this.#messages < MESSAGES || !this.#read()) return false;
      }
      if (this.#prepareMessage()) return true;
    }
  }

  #prepareMessage(): boolean {
    const reader = this.#reader;
    const message = this.#message;
    this.#start = this.#slots.bufferAt(reader.buffers[message]!);
    this.#total = reader.lengthOf(message);
    this.#each = reader.datagramBytesOf(message);
    this.#done = 0;
    this.#index = 0;
    this.#isFromPeer = this.#path!.isPeer(this.#memory, reader.senderAt(message));
    this.#hasSums = this.#isFromPeer && this.#total > this.#each && this.#sumAll();
    if (this.#total > 0 && !reader.isCutShort(message)) return true;
    this.#path!.count(InboundPathCounter.malformed, 1);
    // Whatever is in it, it is dealt with.
    this.#total = 1;
    return false;
  }

  #read(): boolean {
    this.#messages = 0;
    this.#message = 0;
    this.#total = 0;
    this.#done = 0;
    const path = this.#path!;
    if (!this.#host.prepareRead()) return false;
    const count = this.#reader.read(path.fd);
    path.count(InboundPathCounter.reads, 1);
    if (count < 0) this.#host.handleReadError(path, -count);
    else this.#messages = count;
    this.messagesRead += this.#messages;
    return this.#messages > 0;
  }

  /** Sums of all datagrams of the message at once, if its first packet is of a kind that is merged. */
  #sumAll(): boolean {
    const { bytes } = this.#memory;
    const start = this.#start;
    if (this.#total > this.#each * SEGMENTS_MAX) return false;
    const at = start + headerBytesAt(bytes, start);
    const protocol = bytes[at]! >>> 4 === 6 ? bytes[at + 6]! : bytes[at + 9]!;
    const merger = this.#merger;
    if (!(protocol === TCP ? merger.mergesTcp : protocol === UDP && merger.mergesUdp)) return false;
    this.#memory.sumPieces(start, this.#total, this.#each, this.#sumsAt);
    return true;
  }

  /** Brings the counters up to date. */
  #note(): void {
    if (this.#packets === 0) return;
    const { counters } = this.#connection!;
    this.#path!.countData(this.#packets, this.#bytes, this.#nowMs);
    counters[InboundCounter.packets]! += this.#packets;
    counters[InboundCounter.bytes]! += this.#bytes;
    this.#packets = 0;
    this.#bytes = 0;
  }
}
