/**
 * A connection as the inbound thread sees it: what puts its packets in order or drops copies, and its counters. Packets
 * are slots; they leave for the merger.
 *
 * Invariant: every slot given to `take` is with the merger, waits in the reorder buffer, or was released.
 */
import { DuplicateFilter } from '../paths/duplicate-filter.ts';
import { FIRST_DROPPED, PushResult, ReorderBuffer } from '../paths/reorder-buffer.ts';
import type { PathView } from '../paths/scheduler.ts';
import type { InboundPath } from './inbound-path.ts';
import type { PacketSlots } from './packet-slots.ts';
import { InboundCounter, type DataConnection } from './protocol.ts';
import type { SegmentMerger } from './segment-merger.ts';

/**
 * A window is a number of packets, and at several Gbit/s the customary 900 pass in 2 ms, which is less than a host may
 * leave a queue alone; the queue of one path may be tens of milliseconds longer than that of another. So more may wait than
 * the window says, for `GRACE_MS`: below what it takes to notice that a path is dead.
 */
const GRACE_FACTOR = 8;
const GRACE_WINDOW_MAX = 16_384;
const GRACE_MS = 100;

/** What a connection keeps when another description takes its place. */
interface Ordering {
  readonly window: number;
  readonly maxDelayMs: number;
  readonly paths: number;
  readonly dropsCopies: boolean;
  readonly reorder: ReorderBuffer | undefined;
  readonly filter: DuplicateFilter | undefined;
}

export class InboundConnection {
  readonly id: number;
  readonly #slots: PacketSlots;
  readonly #merger: SegmentMerger;
  readonly counters: Float64Array;
  readonly #innerBytesMax: number;
  /** Both ends duplicate, so that what comes late or twice are copies. */
  readonly #hasCopies: boolean;
  readonly #ordering: Ordering;
  /** Of reorder buffers before this one. */
  readonly #missingBefore: number;
  paths: readonly InboundPath[] = [];
  /** Whether it is in the loop's list of those with packets waiting, and of those to be read. */
  isListed = false;
  isReady = false;

  constructor(
    description: DataConnection,
    slots: PacketSlots,
    merger: SegmentMerger,
    before?: InboundConnection,
  ) {
    this.id = description.id;
    this.#slots = slots;
    this.#merger = merger;
    this.counters = new Float64Array(description.inboundCounters);
    this.#innerBytesMax = description.innerBytesMax;
    this.#hasCopies = description.scheduler === 'redundant';
    if (before !== undefined && isOrderedAlike(description, before.#ordering)) {
      this.#ordering = before.#ordering;
      this.#missingBefore = before.#missingBefore;
    } else {
      before?.flush();
      this.#ordering = makeOrdering(description, before?.awaited);
      this.#missingBefore = this.counters[InboundCounter.missing]!;
    }
  }

  /** The number that packets wait for; `undefined` where nothing is put in order, or nothing came yet. */
  get awaited(): number | undefined {
    return this.#ordering.reorder?.next;
  }

  /** Packets that wait for order. */
  get waiting(): number {
    return this.#ordering.reorder?.waiting ?? 0;
  }

  /** When `poll` has something to do. */
  get deadlineMs(): number {
    const { reorder } = this.#ordering;
    return reorder === undefined ? Infinity : reorder.deadlineMs - this.#haste(reorder);
  }

  /** By how much less packets wait while more wait than the window holds. */
  #haste(reorder: ReorderBuffer): number {
    const { window, maxDelayMs } = this.#ordering;
    return reorder.waiting > window ? Math.max(0, maxDelayMs - GRACE_MS) : 0;
  }

  /** Takes a packet without number. */
  takePlain(slot: number): void {
    this.#merger.add(slot, this.#innerBytesMax);
  }

  /** Takes a packet with a number that arrived over the path. */
  take(slot: number, sequence: number, path: number, nowMs: number): void {
    const { reorder, filter } = this.#ordering;
    if (reorder !== undefined) {
      const result = reorder.push(sequence, slot, path, nowMs);
      if (result !== PushResult.taken) this.#judge(result, slot);
      this.#emit(reorder);
    } else if (filter === undefined || filter.accept(sequence, path, nowMs)) {
      this.#merger.add(slot, this.#innerBytesMax);
    } else {
      this.counters[InboundCounter.copies]!++;
      this.#slots.release(slot);
    }
  }

  /** Gives up what waited long enough. */
  poll(nowMs: number): void {
    const { reorder } = this.#ordering;
    if (reorder === undefined) return;
    if (reorder.poll(nowMs) > 0) this.#emit(reorder);
    const haste = this.#haste(reorder);
    if (haste > 0 && reorder.poll(nowMs + haste) > 0) this.#emit(reorder);
  }

  /** Takes which paths are in use, in the order of their indexes. */
  setViews(views: readonly PathView[], nowMs: number): void {
    const { reorder } = this.#ordering;
    if (reorder === undefined) return;
    for (let i = 0; i < views.length; i++) {
      if (reorder.setUsable(i, views[i]!.isUsable, nowMs) > 0) this.#emit(reorder);
    }
    this.noteWaiting();
  }

  /** Lets all go that waits. */
  flush(): void {
    const { reorder } = this.#ordering;
    if (reorder !== undefined && reorder.flush() > 0) this.#emit(reorder);
    this.noteWaiting();
  }

  /** Brings the counters of what waits and of what is missing up to date. */
  noteWaiting(): void {
    const { reorder } = this.#ordering;
    if (reorder === undefined) return;
    this.counters[InboundCounter.waiting] = reorder.waiting;
    this.counters[InboundCounter.missing] = this.#missingBefore + reorder.missing;
  }

  #emit({ released, releasedCount }: ReorderBuffer): void {
    for (let i = 0; i < releasedCount; i++) this.#merger.add(released[i]!, this.#innerBytesMax);
  }

  #judge(result: PushResult, slot: number): void {
    const { counters } = this;
    if (result === PushResult.restarted) counters[InboundCounter.restarts]!++;
    else if (result >= FIRST_DROPPED && this.#hasCopies) counters[InboundCounter.copies]!++;
    else if (result === PushResult.late) counters[InboundCounter.late]!++;
    else if (result === PushResult.duplicate) counters[InboundCounter.duplicate]!++;
    if (result >= FIRST_DROPPED) this.#slots.release(slot);
  }
}

/** Who puts in order drops copies anyway, so there it does not matter whether the peer is known to send some. */
const isOrderedAlike = (description: DataConnection, ordering: Ordering): boolean =>
  ordering.window === description.reorderWindow &&
  ordering.maxDelayMs === description.maxDelayMs &&
  ordering.paths === description.paths.length &&
  (ordering.window > 0 || ordering.dropsCopies === description.dropsCopies);

function makeOrdering(description: DataConnection, next: number | undefined): Ordering {
  const { reorderWindow: window, maxDelayMs, dropsCopies } = description;
  const paths = description.paths.length;
  const widest = Math.max(window, Math.min(window * GRACE_FACTOR, GRACE_WINDOW_MAX));
  const reorder = window > 0 ? new ReorderBuffer({ window: widest, maxDelayMs, paths, next }) : undefined;
  const filter = window === 0 && dropsCopies ? new DuplicateFilter(paths) : undefined;
  return { window, maxDelayMs, paths, dropsCopies, reorder, filter };
}
