/**
 * What the main thread and the relay worker say to each other, and the memory they share. Pure data.
 *
 * Invariant: a descriptor named in `open` belongs to the worker from then on; its number comes back in `closed`
 * only as the tunnel's id. Byte counts are read live from shared memory, never sent.
 */

export interface OpenTunnel {
  readonly kind: 'open';
  /** Chosen by the main thread, never reused while the tunnel lives. */
  readonly id: number;
  /** Where in the shared memory this tunnel counts its bytes; see TunnelCounters. */
  readonly counterSlot: number;
  readonly clientFd: number;
  readonly upstreamFd: number;
  /** Both descriptors are plain TCP, so bulk may go through a pipe without being copied. */
  readonly splice: boolean;
  /** What Node had read of the client's bytes before the handover. */
  readonly toUpstream: Uint8Array | undefined;
  /** What the upstream sent before the handover. */
  readonly toClient?: Uint8Array;
}

export type ToRelay =
  | OpenTunnel
  /** One more block of counters, `CounterBlock` slots long. */
  | { readonly kind: 'counters'; readonly block: SharedArrayBuffer }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'stop' };

/** How a tunnel ended. */
export type CloseReason =
  | 'finished'
  /** One end had said its last, and took no more of what the other still sent. */
  | 'closed-early'
  | 'client-failed'
  | 'upstream-failed'
  | 'idle'
  | 'half-closed-idle'
  | 'aborted'
  | 'no-resources';

export interface ClosedTunnel {
  readonly id: number;
  readonly reason: CloseReason;
  /** errno of the failure, 0 for none. */
  readonly errno: number;
}

export type FromRelay =
  /** The loop runs; sent once. */
  { readonly kind: 'ready' } | { readonly kind: 'closed'; readonly tunnels: readonly ClosedTunnel[] };

export interface RelayOptions {
  /** 0: never. */
  readonly idleTimeoutMs: number;
  /** For tunnels of which one direction has ended. 0: never. */
  readonly halfClosedIdleTimeoutMs: number;
  /** BOUNDED: bytes that all stalled tunnels together hold before each is held to small reads. */
  readonly heldBytesSoftLimit: number;
  /** BOUNDED: pipes at once; a direction that gets none copies. */
  readonly maxPipes: number;
}

const SLOTS_PER_BLOCK = 512;
const NUMBERS_PER_SLOT = 2;

/**
 * Two numbers a tunnel (bytes up, bytes down) in memory that both threads see, in blocks that the main thread
 * makes. Each number has one writer, the worker; a 64-bit store is not torn, so plain accesses suffice.
 */
export class TunnelCounters {
  /** BOUNDED: one block for each 512 tunnels that were ever open at once. */
  readonly #blocks: Float64Array[] = [];

  static newBlock(): SharedArrayBuffer {
    return new SharedArrayBuffer(SLOTS_PER_BLOCK * NUMBERS_PER_SLOT * 8);
  }

  addBlock(block: SharedArrayBuffer): void {
    this.#blocks.push(new Float64Array(block));
  }

  get capacity(): number {
    return this.#blocks.length * SLOTS_PER_BLOCK;
  }

  set(slot: number, up: number, down: number): void {
    const block = this.#blocks[Math.floor(slot / SLOTS_PER_BLOCK)];
    const at = (slot % SLOTS_PER_BLOCK) * NUMBERS_PER_SLOT;
    if (block === undefined) return;
    block[at] = up;
    block[at + 1] = down;
  }

  up(slot: number): number {
    const block = this.#blocks[Math.floor(slot / SLOTS_PER_BLOCK)];
    return block?.[(slot % SLOTS_PER_BLOCK) * NUMBERS_PER_SLOT] ?? 0;
  }

  down(slot: number): number {
    const block = this.#blocks[Math.floor(slot / SLOTS_PER_BLOCK)];
    return block?.[(slot % SLOTS_PER_BLOCK) * NUMBERS_PER_SLOT + 1] ?? 0;
  }
}
