/**
 * Writes packets to the TUN device: single ones, and super-packets that the kernel takes as if its own receive offload
 * had merged them. What the device refuses is counted; it is never tried again.
 */
import { lastErrno, libc } from '../../native/index.ts';
import { IOVEC_BYTES, type PacketMemory } from './packet-memory.ts';
import { InboundTotal } from './protocol.ts';
import type { PacketWriter } from './segment-merger.ts';
import { VIRTIO_HEADER_BYTES } from './virtio-header.ts';

/** What the writer reserves of the memory. */
export const WRITER_MEMORY_BYTES = 512;

export interface TunWriterOptions {
  readonly fd: number;
  readonly hasVirtioHeader: boolean;
  /** Layout: InboundTotal. */
  readonly totals: Float64Array;
}

export class TunWriter implements PacketWriter {
  readonly #memory: PacketMemory;
  readonly #fd: number;
  readonly #totals: Float64Array;
  readonly #vectorAt: number;
  readonly #packetVectorAt: number;
  readonly #singleAddress: number;
  readonly #singleVectors: number;
  /** errno of the last refused packet, 0: none since it was read. */
  lastError = 0;

  constructor(memory: PacketMemory, { fd, hasVirtioHeader, totals }: TunWriterOptions) {
    this.#memory = memory;
    this.#fd = fd;
    this.#totals = totals;
    const noHeaderAt = memory.reserve(VIRTIO_HEADER_BYTES);
    this.#vectorAt = memory.reserve(2 * IOVEC_BYTES);
    this.#packetVectorAt = this.#vectorAt + IOVEC_BYTES;
    memory.writeIovec(this.#vectorAt, noHeaderAt, VIRTIO_HEADER_BYTES);
    this.#singleAddress = memory.addressAt(hasVirtioHeader ? this.#vectorAt : this.#packetVectorAt);
    this.#singleVectors = hasVirtioHeader ? 2 : 1;
  }

  /** One packet as it is; the kernel looks at its checksums. */
  writeSingle(at: number, lengthBytes: number): boolean {
    this.#memory.writeIovec(this.#packetVectorAt, at, lengthBytes);
    return this.#write(this.#singleAddress, this.#singleVectors);
  }

  /** A packet of `vectors` parts, of which the first is a virtio header; `address` is that of the iovecs. */
  writeParts(address: number, vectors: number): boolean {
    return this.#write(address, vectors);
  }

  #write(address: number, vectors: number): boolean {
    this.#totals[InboundTotal.writes]!++;
    if (libc.writevAt(this.#fd, address, vectors) >= 0) return true;
    this.lastError = lastErrno();
    this.#totals[InboundTotal.writeErrors]!++;
    return false;
  }
}
