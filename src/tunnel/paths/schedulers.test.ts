import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SCHEDULERS } from '../config/model.ts';
import { CapacityEstimate } from './capacity-estimate.ts';
import { makeScheduler } from './make-scheduler.ts';
import { firstPath, usableBits, withoutFirstPath, type PathView, type Scheduler } from './scheduler.ts';
import { buildSendingVector } from './sending-vector.ts';

const usable = (weight: number, more: Partial<PathView> = {}): PathView => ({
  isUsable: true,
  weight,
  ...more,
});
const dead = (weight: number): PathView => ({ isUsable: false, weight });

const view: fc.Arbitrary<PathView> = fc.record(
  {
    isUsable: fc.boolean(),
    weight: fc.integer({ min: 1, max: 30 }),
    rttUs: fc.integer({ min: 100, max: 200_000 }),
    capacityBps: fc.integer({ min: 0, max: 1_000_000_000 }),
    lossRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  },
  { requiredKeys: ['isUsable', 'weight'] },
);

it.each(SCHEDULERS)('%s: usable paths only, and none only when none is', (name) => {
  const states = fc.integer({ min: 1, max: 20 }).chain((count) =>
    fc.array(fc.array(view, { minLength: count, maxLength: count, size: 'max' }), {
      minLength: 1,
      maxLength: 5,
    }),
  );
  fc.assert(
    fc.property(
      states,
      fc.array(fc.nat(), { minLength: 1, maxLength: 30, size: 'max' }),
      (updates, packets) => {
        const scheduler = makeScheduler(name);
        expect(scheduler.choose(100, 1, 0)).toBe(0);
        let nowUs = 0;
        for (const paths of updates) {
          scheduler.update(paths, nowUs);
          const bits = usableBits(paths);
          for (const packet of packets) {
            nowUs += packet % 1000;
            const chosen = scheduler.choose(packet % 1500, packet, nowUs);
            expect(chosen & ~bits).toBe(0);
            expect(chosen === 0).toBe(bits === 0);
            if (name !== 'redundant') expect(withoutFirstPath(chosen)).toBe(0);
          }
        }
      },
    ),
    { numRuns: 100 },
  );
});

/** The original's walk, entry by entry. */
function naiveWalk(vector: Uint8Array, isUsable: readonly boolean[], start: number): [number, number] {
  let at = start;
  for (let i = 0; i < 2 * vector.length; i++) {
    const path = vector[at]!;
    at = (at + 1) % vector.length;
    if (isUsable[path] === true) return [path, at];
  }
  return [-1, start];
}

it('weights: skips dead paths as the original does', () => {
  const states = fc.tuple(
    fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5, size: 'max' }),
    fc.array(fc.nat(31), { maxLength: 40, size: 'max' }),
  );
  fc.assert(
    fc.property(states, ([weights, masks]) => {
      const scheduler = makeScheduler('weights');
      const vector = buildSendingVector(weights);
      let at = 0;
      for (const mask of masks) {
        const isUsable = weights.map((_weight, path) => ((mask >> path) & 1) === 1);
        scheduler.update(
          weights.map((weight, path) => ({ weight, isUsable: isUsable[path]! })),
          0,
        );
        for (let i = 0; i < 7; i++) {
          const [path, next] = naiveWalk(vector, isUsable, at);
          at = next;
          expect(firstPath(scheduler.choose(1, 0, 0))).toBe(path);
        }
      }
    }),
    { numRuns: 300 },
  );
});

/** Bytes by path of a steady stream. */
function share(scheduler: Scheduler, paths: number, rateBps: number, durationUs = 1_000_000): number[] {
  const bytes = Array.from({ length: paths }, () => 0);
  const stepUs = (1250 * 8e6) / rateBps;
  for (let nowUs = 0; nowUs < durationUs; nowUs += stepUs) {
    const path = firstPath(scheduler.choose(1250, 0, nowUs));
    bytes[path] = bytes[path]! + 1250;
  }
  const total = bytes.reduce((sum, one) => sum + one, 0);
  return bytes.map((one) => Math.round((one / total) * 100) / 100);
}

it('adaptive: fills paths by capacity, keeps off slow ones without need, and avoids lossy ones', () => {
  const make = (...paths: PathView[]) => {
    const scheduler = makeScheduler('adaptive');
    scheduler.update(paths, 0);
    return scheduler;
  };
  const fast = usable(1, { capacityBps: 300e6, rttUs: 10_000 });
  const slow = usable(1, { capacityBps: 100e6, rttUs: 10_000 });
  expect(share(make(fast, slow), 2, 400e6)).toEqual([0.75, 0.25]);
  const full = make(fast, slow);
  expect(share(full, 2, 800e6)).toEqual([0.75, 0.25]);
  // What was too much does not count for ever.
  expect(firstPath(full.choose(1250, 0, 1_210_000))).toBe(0);
  const far = usable(1, { capacityBps: 300e6, rttUs: 200_000 });
  expect(share(make(fast, far), 2, 100e6)).toEqual([1, 0]);
  const lossy = usable(1, { capacityBps: 300e6, rttUs: 10_000, lossRatio: 0.5 });
  expect(share(make(fast, lossy), 2, 600e6)).toEqual([1, 0]);
  expect(share(make(dead(1), lossy), 2, 600e6)).toEqual([0, 1]);
  expect(share(make(usable(1), usable(3)), 2, 400e6)).toEqual([0.25, 0.75]);
});

it('lowest-rtt: one path until it is full, and no change for little', () => {
  const scheduler = makeScheduler('lowest-rtt');
  const first = usable(1, { rttUs: 10_000, capacityBps: 100e6 });
  const second = usable(1, { rttUs: 30_000, capacityBps: 100e6 });
  scheduler.update([first, second], 0);
  expect(share(scheduler, 2, 50e6)).toEqual([1, 0]);
  const full = makeScheduler('lowest-rtt');
  full.update([first, second], 0);
  const [most] = share(full, 2, 400e6);
  expect(most).toBeGreaterThan(0.45);
  expect(most).toBeLessThan(0.6);
  // What was too much does not count for ever.
  expect(firstPath(full.choose(1, 0, 1_030_000))).toBe(0);
  scheduler.update([first, { ...second, rttUs: 9800 }], 0);
  expect(firstPath(scheduler.choose(1, 0, 1e9))).toBe(0);
  scheduler.update([first, { ...second, rttUs: 5000 }], 0);
  expect(firstPath(scheduler.choose(1, 0, 1e9))).toBe(1);
});

it('flow: a flow stays, all spread by weight, and only the flows of a dead path move', () => {
  const scheduler = makeScheduler('flow');
  const flows = Array.from({ length: 4000 }, (_value, i) => i * 2_654_435 + 7);
  const assign = () => flows.map((flow) => firstPath(scheduler.choose(1, flow, 0)));
  scheduler.update([usable(1), usable(3), usable(4)], 0);
  const before = assign();
  expect(assign()).toEqual(before);
  const part = (path: number) => before.filter((one) => one === path).length / flows.length;
  expect(Math.abs(part(0) - 1 / 8)).toBeLessThan(0.05);
  expect(Math.abs(part(2) - 1 / 2)).toBeLessThan(0.06);
  scheduler.update([usable(1), dead(3), usable(4)], 0);
  const during = assign();
  for (const [i, path] of before.entries()) if (path !== 1) expect(during[i]).toBe(path);
  scheduler.update([usable(1), usable(3), usable(4)], 0);
  expect(assign()).toEqual(before);
});

it('learns what a path carries, up and down, and tells congestion from a lossy link', () => {
  /** A link of `linkBps` that drops what is above it, and `lossRatio` of the rest. */
  const drive = (
    estimate: CapacityEstimate,
    linkBps: number,
    lossRatio: number,
    offeredBps: number,
    rounds: number,
  ) => {
    for (let i = 0; i < rounds; i++) {
      const sentBps = Math.min(offeredBps, estimate.capacityBps ?? offeredBps);
      const deliveredBps = Math.min(sentBps, linkBps) * (1 - lossRatio);
      const packets = (bps: number) => bps / 8 / 10 / 1250;
      estimate.handleReport({
        intervalMs: 100,
        sentPackets: packets(sentBps),
        sentBytes: sentBps / 80,
        deliveredPackets: packets(deliveredBps),
        deliveredBytes: deliveredBps / 80,
        rttUs: sentBps > linkBps ? 60_000 : 20_000,
      });
    }
    return estimate.capacityBps ?? 0;
  };
  const estimate = new CapacityEstimate();
  expect(drive(estimate, 100e6, 0, 10e6, 1)).toBeLessThan(20e6);
  expect(Math.abs(drive(estimate, 100e6, 0, 1e9, 100) / 100e6 - 1)).toBeLessThan(0.2);
  expect(Math.abs(drive(estimate, 30e6, 0, 1e9, 50) / 30e6 - 1)).toBeLessThan(0.2);
  // Idle: nothing is unlearned.
  const known = estimate.capacityBps;
  drive(estimate, 30e6, 0, 1e6, 50);
  expect(estimate.capacityBps).toBe(known);
  // A radio link loses 5 % at any rate, and is not taken for full.
  const radio = new CapacityEstimate();
  drive(radio, 100e6, 0, 50e6, 20);
  drive(radio, 100e6, 0.05, 20e6, 30);
  expect(drive(radio, 100e6, 0.05, 1e9, 50)).toBeGreaterThan(60e6);
  expect(Math.abs(radio.lossRatio - 0.05)).toBeLessThan(0.15);
});
