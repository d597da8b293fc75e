import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PacketMemory } from './packet-memory.ts';
import {
  BUFFER_BYTES,
  BUFFERS,
  NO_SLOT,
  PacketSlots,
  SEGMENTS_MAX,
  SLOTS_MEMORY_BYTES,
} from './packet-slots.ts';

const memory = new PacketMemory(SLOTS_MEMORY_BYTES);
const slots = new PacketSlots(memory);
const SLOTS = slots.freeSlots;

const expectNothingTaken = () => {
  expect(slots.freeSlots).toBe(SLOTS);
  expect(slots.freeBuffers).toBe(BUFFERS);
};

it('lends a buffer again when its owner and its slots let go, in either order', () => {
  const buffer = slots.lendBuffer();
  const slot = slots.take(buffer, slots.bufferAt(buffer), 100, -1);
  expect(slots.isUnused(buffer)).toBe(false);
  slots.returnBuffer(buffer);
  expect(slots.freeBuffers).toBe(BUFFERS - 1);
  slots.release(slot);
  expectNothingTaken();

  const other = slots.lendBuffer();
  slots.release(slots.take(other, slots.bufferAt(other), 100, -1));
  expect(slots.isUnused(other)).toBe(true);
  expect(slots.freeBuffers).toBe(BUFFERS - 1);
  slots.returnBuffer(other);
  expectNothingTaken();
});

it('gives no more slots of a buffer than it has segments, and no more buffers than there are', () => {
  const lent = Array.from({ length: BUFFERS }, () => slots.lendBuffer());
  expect(new Set(lent).size).toBe(BUFFERS);
  expect(slots.lendBuffer()).toBe(-1);
  const buffer = lent[0]!;
  const taken = Array.from({ length: SEGMENTS_MAX }, (_, i) =>
    slots.take(buffer, slots.bufferAt(buffer) + i * 9, 9, -1),
  );
  expect(new Set(taken).size).toBe(SEGMENTS_MAX);
  expect(slots.take(buffer, slots.bufferAt(buffer), 9, -1)).toBe(NO_SLOT);
  // Nothing may be moved out of a buffer that is still lent.
  expect(slots.keepOne()).toBe(false);
  for (const slot of taken) slots.release(slot);
  for (const one of lent) slots.returnBuffer(one);
  expectNothingTaken();
});

it('says when the store is full, and has room again after releases', () => {
  const held: number[] = [];
  const fill = () => {
    const buffer = slots.lendBuffer();
    held.push(slots.take(buffer, slots.bufferAt(buffer), BUFFER_BYTES - 1, -1));
    slots.returnBuffer(buffer);
  };
  fill();
  while (slots.keepOne()) fill();
  expect(held.length).toBeGreaterThan(10);
  slots.release(held.shift()!);
  expect(slots.keepOne()).toBe(true);
  for (const slot of held) slots.release(slot);
  expectNothingTaken();
});

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom('read', 'read', 'release', 'release', 'keep'),
    count: fc.integer({ min: 1, max: 40 }),
    bytes: fc.constantFrom(20, 64, 1400, 2048, 2049, 9000),
    pick: fc.nat(),
  }),
  { maxLength: 60 },
);

it('keeps the bytes of every packet, wherever they move, and every slot apart', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const held: { slot: number; mark: number; bytes: number }[] = [];
      let mark = 0;
      for (const { kind, count, bytes, pick } of list) {
        if (kind === 'read' && slots.freeBuffers > 0) {
          const buffer = slots.lendBuffer();
          for (
            let i = 0, at = slots.bufferAt(buffer);
            i < count && (i + 1) * bytes <= BUFFER_BYTES;
            i++, at += bytes
          ) {
            memory.view.setUint32(at, ++mark);
            memory.view.setUint32(at + bytes - 4, mark);
            held.push({ slot: slots.take(buffer, at, bytes, mark), mark, bytes });
          }
          slots.returnBuffer(buffer);
        } else if (kind === 'release') {
          for (let i = 0; i < count && held.length > 0; i++)
            slots.release(held.splice(pick % held.length, 1)[0]!.slot);
        } else {
          const before = slots.freeBuffers;
          if (slots.keepOne()) expect(slots.freeBuffers).toBe(before + 1);
        }
        expect(new Set(held.map(({ slot }) => slot)).size).toBe(held.length);
        for (const { slot, mark: own, bytes: length } of held) {
          const at = slots.at[slot]!;
          expect([slots.lengthBytes[slot], slots.sums[slot]]).toEqual([length, own]);
          expect(memory.view.getUint32(at)).toBe(own);
          expect(memory.view.getUint32(at + length - 4)).toBe(own);
        }
      }
      for (const { slot } of held) slots.release(slot);
      expectNothingTaken();
    }),
    { numRuns: 100 },
  );
});
