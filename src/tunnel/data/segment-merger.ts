/**
 * Hands received packets to the TUN device, consecutive segments of a flow as one super-packet: a TCP stream costs one
 * system call and one walk through the kernel's stack for up to 64 KiB.
 *
 *   add ─┬─ may join or begin a run ──► MergeRun ── flush ──► one writev
 *        └─ anything else ──────────────────────────────────► one writev
 *
 * Invariants: packets of a flow are written in the order in which they were added; nothing is merged whose checksums
 * are wrong, because the kernel believes a super-packet; what is not merged is written byte for byte as it came (but for
 * the MSS of a SYN), and the kernel judges it. After `flushAll` every slot that was added is released.
 */
import { EINVAL } from '../../native/index.ts';
import {
  InnerPacket,
  IPV4_HEADER_BYTES as IPV4_BYTES,
  IPV6_HEADER_BYTES as IPV6_BYTES,
  TCP,
  UDP,
} from './inner-packet.ts';
import { MergeRun, RUN_MEMORY_BYTES, TCP_BYTES, TcpFlag, UDP_BYTES } from './merge-run.ts';
import { clampMss } from './mss-clamp.ts';
import type { PacketMemory } from './packet-memory.ts';
import type { PacketSlots } from './packet-slots.ts';

/** Flows that are merged at the same time. */
const RUNS = 8;
/** What the merger reserves of the memory. */
export const MERGER_MEMORY_BYTES = RUNS * RUN_MEMORY_BYTES;

const IPV4_PLAIN = 0x45;
const FRAGMENT = 0x3fff;
const MERGED_FLAGS = TcpFlag.ack | TcpFlag.psh | TcpFlag.fin;
const ECE = 0x40;
const END_FLAGS = TcpFlag.psh | TcpFlag.fin;

/** Where packets go: TunWriter. */
export interface PacketWriter {
  writeSingle(at: number, lengthBytes: number): boolean;
  writeParts(address: number, vectors: number): boolean;
  readonly lastError: number;
}

export interface MergerOptions {
  readonly mergesTcp: boolean;
  readonly mergesUdp: boolean;
  /** The device refused a super-packet as such; that protocol is not merged any more. */
  readonly onRefused: (protocol: number) => void;
}

export class SegmentMerger {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #slots: PacketSlots;
  readonly #writer: PacketWriter;
  readonly #onRefused: (protocol: number) => void;
  #mergesTcp: boolean;
  #mergesUdp: boolean;
  readonly #packet = new InnerPacket();
  readonly #runs: readonly MergeRun[];
  /** The run of the last packet; most often that of the next. */
  #last: MergeRun;
  /** Which run gives way when a further flow comes. */
  #turn = 0;
  #open = 0;

  constructor(memory: PacketMemory, slots: PacketSlots, writer: PacketWriter, options: MergerOptions) {
    this.#bytes = memory.bytes;
    this.#view = memory.view;
    this.#slots = slots;
    this.#writer = writer;
    this.#onRefused = options.onRefused;
    this.#mergesTcp = options.mergesTcp;
    this.#mergesUdp = options.mergesUdp;
    this.#runs = Array.from({ length: RUNS }, () => new MergeRun(memory));
    this.#last = this.#runs[0]!;
  }

  get mergesTcp(): boolean {
    return this.#mergesTcp;
  }

  get mergesUdp(): boolean {
    return this.#mergesUdp;
  }

  /**
   * Takes an IP packet of at least the shortest header's length. `innerBytesMax`: an MSS in it is lowered to what so
   * many bytes hold; 0: it is left.
   */
  add(slot: number, innerBytesMax: number): void {
    const at = this.#slots.at[slot]!;
    const lengthBytes = this.#slots.lengthBytes[slot]!;
    const bytes = this.#bytes;
    const first = bytes[at]!;
    let protocol = -1;
    let ipBytes = IPV4_BYTES;
    if (first === IPV4_PLAIN) {
      const isWhole = this.#view.getUint16(at + 2) === lengthBytes;
      if (isWhole && (this.#view.getUint16(at + 6) & FRAGMENT) === 0) protocol = bytes[at + 9]!;
    } else if (first >>> 4 === 6) {
      ipBytes = IPV6_BYTES;
      if (this.#view.getUint16(at + 4) + IPV6_BYTES === lengthBytes) protocol = bytes[at + 6]!;
    }
    if (protocol === TCP) return this.#addTcp(slot, at, lengthBytes, ipBytes, innerBytesMax);
    if (protocol !== UDP) this.#flushForOthers(at, lengthBytes, innerBytesMax);
    else if (this.#mergesUdp) return this.#addUdp(slot, at, lengthBytes, ipBytes);
    this.#writeSingle(slot, at, lengthBytes);
  }

  /** For what may be of a flow that is being merged: fragments, IPv4 options, IPv6 extension headers, wrong lengths. */
  #flushForOthers(at: number, lengthBytes: number, innerBytesMax: number): void {
    this.flushAll();
    if (innerBytesMax > 0) this.#clamp(at, lengthBytes, innerBytesMax);
  }

  #clamp(at: number, lengthBytes: number, innerBytesMax: number): void {
    if (this.#packet.parse(this.#bytes, at, lengthBytes)) {
      clampMss(this.#packet, this.#bytes, innerBytesMax, false);
    }
  }

  /** Writes all that is being merged. */
  flushAll(): void {
    if (this.#open === 0) return;
    for (const run of this.#runs) if (run.count > 0) this.#flush(run);
  }

  #addTcp(slot: number, at: number, lengthBytes: number, ipBytes: number, innerBytesMax: number): void {
    const transport = at + ipBytes;
    const headerBytes = ipBytes + ((this.#bytes[transport + 12]! >>> 4) << 2);
    if (lengthBytes < ipBytes + TCP_BYTES || headerBytes < ipBytes + TCP_BYTES || headerBytes > lengthBytes) {
      return this.#writeSingle(slot, at, lengthBytes);
    }
    const flags = this.#bytes[transport + 13]!;
    const run = this.#find(at, ipBytes, TCP);
    const isPlain = (flags & ~(MERGED_FLAGS | ECE)) === 0 && (flags & TcpFlag.ack) !== 0;
    if (!this.#mergesTcp || !isPlain || headerBytes === lengthBytes) {
      if (run !== undefined) this.#flush(run);
      if ((flags & TcpFlag.syn) !== 0 && innerBytesMax > 0) {
        this.#clamp(at, lengthBytes, innerBytesMax);
      }
      return this.#writeSingle(slot, at, lengthBytes);
    }
    const ends = (flags & END_FLAGS) !== 0;
    if (run !== undefined && this.#join(run, slot, at, lengthBytes, headerBytes)) {
      run.endFlags = flags & END_FLAGS;
      if (ends || lengthBytes < run.lengthBytes) this.#flush(run);
      return;
    }
    if (ends) return this.#writeSingle(slot, at, lengthBytes);
    this.#begin(slot, at, lengthBytes, ipBytes, TCP, headerBytes);
  }

  #addUdp(slot: number, at: number, lengthBytes: number, ipBytes: number): void {
    const transport = at + ipBytes;
    const headerBytes = ipBytes + UDP_BYTES;
    if (lengthBytes < headerBytes) return this.#writeSingle(slot, at, lengthBytes);
    const run = this.#find(at, ipBytes, UDP);
    const isWhole = this.#view.getUint16(transport + 4) === lengthBytes - ipBytes;
    const hasChecksum = this.#view.getUint16(transport + 6) !== 0;
    if (!isWhole || !hasChecksum || lengthBytes === headerBytes) {
      if (run !== undefined) this.#flush(run);
      return this.#writeSingle(slot, at, lengthBytes);
    }
    if (run !== undefined && this.#join(run, slot, at, lengthBytes, headerBytes)) {
      if (lengthBytes < run.lengthBytes) this.#flush(run);
      return;
    }
    this.#begin(slot, at, lengthBytes, ipBytes, UDP, headerBytes);
  }

  /**
   * Appends the packet to its flow's run; one that is shorter than the first has to be the last. If it may not join,
   * the run is written, so that the packet comes after it.
   */
  #join(run: MergeRun, slot: number, at: number, lengthBytes: number, headerBytes: number): boolean {
    const { sums } = this.#slots;
    if (!run.isVerified && run.isIntact(run.at, run.lengthBytes, sums[run.slots[0]!]!)) run.isVerified = true;
    if (
      !run.isVerified ||
      !run.continuesWith(at, lengthBytes, headerBytes) ||
      !run.isIntact(at, lengthBytes, sums[slot]!)
    ) {
      this.#flush(run);
      return false;
    }
    run.append(slot, at, lengthBytes);
    return true;
  }

  #begin(
    slot: number,
    at: number,
    lengthBytes: number,
    ipBytes: number,
    protocol: number,
    headerBytes: number,
  ): void {
    const run = this.#freeRun();
    run.begin(slot, at, lengthBytes, ipBytes, protocol, headerBytes);
    this.#open++;
    this.#last = run;
  }

  #find(at: number, ipBytes: number, protocol: number): MergeRun | undefined {
    if (this.#open === 0) return undefined;
    if (this.#last.isFlowOf(at, ipBytes, protocol)) return this.#last;
    if (this.#open === 1 && this.#last.count > 0) return undefined;
    for (let i = 0; i < RUNS; i++) {
      const run = this.#runs[i]!;
      if (!run.isFlowOf(at, ipBytes, protocol)) continue;
      this.#last = run;
      return run;
    }
    return undefined;
  }

  #freeRun(): MergeRun {
    for (let i = 0; i < RUNS; i++) {
      const run = this.#runs[i]!;
      if (run.count === 0) return run;
    }
    const oldest = this.#runs[this.#turn]!;
    this.#turn = (this.#turn + 1) % RUNS;
    this.#flush(oldest);
    return oldest;
  }

  #flush(run: MergeRun): void {
    const { count, slots } = run;
    if (count === 1) this.#writer.writeSingle(run.at, run.lengthBytes);
    else this.#writeRun(run);
    for (let i = 0; i < count; i++) this.#slots.release(slots[i]!);
    run.count = 0;
    this.#open--;
  }

  #writeRun(run: MergeRun): void {
    const { protocol } = run;
    const vectors = run.close();
    const isWritten = this.#writer.writeParts(run.vectorsAddress, vectors);
    if (isWritten || this.#writer.lastError !== EINVAL) return;
    if (protocol === TCP) this.#mergesTcp = false;
    else this.#mergesUdp = false;
    this.#onRefused(protocol);
  }

  #writeSingle(slot: number, at: number, lengthBytes: number): void {
    this.#writer.writeSingle(at, lengthBytes);
    this.#slots.release(slot);
  }
}
