import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  MSGHDR_CONTROL_LENGTH,
  MSGHDR_IOVEC_COUNT,
  MSGHDR_NAME_LENGTH,
  PacketMemory,
} from './packet-memory.ts';
import { BYTES_MAX, DATAGRAMS_MAX, MMSGHDR_BYTES, PathBatch } from './path-batch.ts';

const memory = new PacketMemory(1 << 18);
const batch = new PathBatch(memory);
const singles = memory.reserve(DATAGRAMS_MAX * MMSGHDR_BYTES);
const SOCKADDR = Uint8Array.from({ length: 16 }, (_, i) => i + 1);

interface Piece {
  readonly header: number;
  readonly headerBytes: number;
  readonly payload: number;
  readonly payloadBytes: number;
}

/** What the kernel would read: offsets in the memory and lengths. */
function vectorsAt(at: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => [
    Number(memory.view.getBigUint64(at + 16 * i, true)) - memory.address,
    Number(memory.view.getBigUint64(at + 16 * i + 8, true)),
  ]).flat();
}

const flat = ({ header, headerBytes, payload, payloadBytes }: Piece) => [
  header,
  headerBytes,
  payload,
  payloadBytes,
];

it('takes datagrams as long as UDP_SEGMENT can say them in one message', () => {
  const size = fc.oneof(fc.constantFrom(100, 1000, 1448), fc.integer({ min: 1, max: 9000 }));
  const runs = fc.tuple(size, fc.integer({ min: 1, max: 80 }));
  const sizes = fc
    .array(runs, { maxLength: 3 })
    .map((all) => all.flatMap(([bytes, count]) => Array.from({ length: count }, () => bytes)));
  fc.assert(
    fc.property(sizes, (all) => {
      batch.begin(SOCKADDR);
      const taken: Piece[] = [];
      for (const payloadBytes of all) {
        const bytes = payloadBytes + 8;
        const total = taken.reduce((sum, piece) => sum + piece.payloadBytes + 8, 0);
        const first = taken[0];
        const mayFollow =
          first === undefined ||
          (taken.every((piece) => piece.payloadBytes === first.payloadBytes) &&
            payloadBytes <= first.payloadBytes &&
            taken.length < DATAGRAMS_MAX &&
            total + bytes <= BYTES_MAX);
        expect(batch.accepts(bytes)).toBe(mayFollow);
        if (!mayFollow) break;
        const piece = { header: taken.length * 64, headerBytes: 8, payload: taken.length, payloadBytes };
        batch.add(piece.header, piece.headerBytes, piece.payload, piece.payloadBytes);
        taken.push(piece);
      }
      if (taken.length === 0) return;
      batch.seal();
      const { view } = memory;
      const expected = taken.flatMap(flat);
      expect(vectorsAt(batch.iovec, 2 * taken.length)).toEqual(expected);
      expect(view.getUint32(batch.message + MSGHDR_IOVEC_COUNT, true)).toBe(2 * taken.length);
      expect(view.getUint32(batch.message + MSGHDR_NAME_LENGTH, true)).toBe(16);
      expect([...memory.bytes.subarray(batch.name, batch.name + 16)]).toEqual([...SOCKADDR]);
      const controlBytes = view.getUint32(batch.message + MSGHDR_CONTROL_LENGTH, true);
      expect(controlBytes).toBe(taken.length > 1 ? 24 : 0);

      // One message each: the same datagrams, each with the address.
      batch.writeSingly(singles);
      for (const [i, piece] of taken.entries()) {
        const at = singles + i * MMSGHDR_BYTES;
        const iovec = Number(view.getBigUint64(at + 16, true)) - memory.address;
        expect(vectorsAt(iovec, 2)).toEqual(flat(piece));
        expect(view.getUint32(at + MSGHDR_IOVEC_COUNT, true)).toBe(2);
        expect(Number(view.getBigUint64(at, true)) - memory.address).toBe(batch.name);
        expect(view.getUint32(at + MSGHDR_CONTROL_LENGTH, true)).toBe(0);
      }
    }),
  );
});

it('says the size of the datagrams to the kernel as cmsg(3) wants it', () => {
  batch.begin(SOCKADDR);
  batch.add(0, 8, 100, 1440);
  batch.add(64, 8, 2000, 7);
  batch.seal();
  const control = Number(memory.view.getBigUint64(batch.message + 32, true)) - memory.address;
  expect(memory.view.getBigUint64(control, true)).toBe(18n);
  expect(memory.view.getInt32(control + 8, true)).toBe(17);
  expect(memory.view.getInt32(control + 12, true)).toBe(103);
  expect(memory.view.getUint16(control + 16, true)).toBe(1448);
});
