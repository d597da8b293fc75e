import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DelayLine } from './delay-line.ts';

const LARGEST = 10;

it('behaves as a queue of copies, whatever the order of reads and writes', () => {
  // More come than go, so that the line is mostly full and wraps often.
  const operation = fc.oneof(
    { weight: 5, arbitrary: fc.record({ put: fc.integer({ min: 1, max: LARGEST }) }) },
    { weight: 4, arbitrary: fc.constant({ take: true }) },
    { weight: 1, arbitrary: fc.constant({ reserveOnly: true }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { minLength: 50, maxLength: 300 }), (operations) => {
      const line = new DelayLine({ capacityBytes: 37, capacityFrames: 9, largestFrameBytes: LARGEST });
      const naive: { bytes: Uint8Array; dueMs: number }[] = [];
      let stamp = 0;
      for (const step of operations) {
        if ('put' in step) {
          const room = line.reserve();
          if (room === undefined) {
            // Refuses only when something waits: an empty line always has room.
            expect(naive.length).toBeGreaterThan(0);
            continue;
          }
          expect(room.length).toBe(LARGEST);
          stamp++;
          // The whole room is written, as a read of a longer frame might: nobody else's bytes may change.
          room.fill(stamp & 0xff);
          line.commit(step.put, stamp);
          naive.push({ bytes: new Uint8Array(step.put).fill(stamp & 0xff), dueMs: stamp });
        } else if ('reserveOnly' in step) {
          line.reserve()?.fill(0);
        } else if (naive.length > 0) {
          const expected = naive.shift()!;
          expect(line.nextDueMs()).toBe(expected.dueMs);
          expect(line.oldest()).toEqual(expected.bytes);
          line.release();
        }
        expect(line.count).toBe(naive.length);
      }
      if (naive.length === 0) expect(line.nextDueMs()).toBe(Infinity);
    }),
    { numRuns: 500 },
  );
});

it('is full when its frames or its bytes are used up', () => {
  const few = new DelayLine({ capacityBytes: 1000, capacityFrames: 2, largestFrameBytes: LARGEST });
  for (const dueMs of [1, 2]) {
    few.reserve();
    few.commit(1, dueMs);
  }
  expect(few.reserve()).toBeUndefined();
  const small = new DelayLine({ capacityBytes: 15, capacityFrames: 100, largestFrameBytes: LARGEST });
  small.reserve();
  small.commit(10, 1);
  expect(small.reserve()).toBeUndefined();
  small.release();
  expect(small.reserve()).toBeDefined();
});
