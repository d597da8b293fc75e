/**
 * Memory with a stable address, for structures that hold pointers. Invariant: the address is valid exactly as
 * long as this object is referenced, because it holds the ArrayBuffer, which is never pooled and never moves.
 */
import { addressOf } from './libc.ts';

export class OwnedBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly address: bigint;

  constructor(lengthBytes: number) {
    const memory = new ArrayBuffer(lengthBytes);
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
    this.address = addressOf(this.bytes);
  }
}
