import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isIpv6 } from '../base/ip.ts';
import { HappyEyeballs, interleaveFamilies } from './happy-eyeballs.ts';

describe('interleaveFamilies', () => {
  it.each([
    [[], []],
    [['1.1.1.1'], ['1.1.1.1']],
    [
      ['::1', '::2', '::3', '1.1.1.1', '1.1.1.2'],
      ['::1', '1.1.1.1', '::2', '1.1.1.2', '::3'],
    ],
    [
      ['1.1.1.1', '::1', '::2'],
      ['1.1.1.1', '::1', '::2'],
    ],
  ])('%j', (given, order) => expect(interleaveFamilies(given)).toEqual(order));

  it('loses none, and keeps the order within a family', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.ipV4(), fc.constantFrom('::1', '::2', '::3'))), (given) => {
        const order = interleaveFamilies(given);
        for (const v6 of [true, false]) {
          expect(order.filter((a) => isIpv6(a) === v6)).toEqual(given.filter((a) => isIpv6(a) === v6));
        }
      }),
    );
  });
});

describe('HappyEyeballs', () => {
  it('starts the next attempt after the delay', () => {
    const race = new HappyEyeballs(3, 250);
    expect(race.poll(0)).toBe(0);
    expect(race.poll(0)).toBeUndefined();
    expect(race.pollDeadlineMs()).toBe(250);
    expect(race.poll(249)).toBeUndefined();
    expect(race.poll(250)).toBe(1);
    expect(race.pollDeadlineMs()).toBe(500);
    expect(race.poll(500)).toBe(2);
    expect(race.pollDeadlineMs()).toBeUndefined();
  });

  it('starts the next attempt at once when one fails', () => {
    const race = new HappyEyeballs(2, 250);
    expect(race.poll(0)).toBe(0);
    race.handleFailed(0);
    expect(race.poll(1)).toBe(1);
    expect(race.exhausted).toBe(false);
    race.handleFailed(1);
    expect(race.exhausted).toBe(true);
  });

  it('gives up the others when one connects, and only one wins', () => {
    const race = new HappyEyeballs(4, 250);
    for (const [at, index] of [0, 1, 2].entries()) expect(race.poll(at * 250)).toBe(index);
    expect(race.handleConnected(1)).toEqual([0, 2]);
    expect(race.handleConnected(0)).toBeUndefined();
    expect(race.poll(10_000)).toBeUndefined();
    expect(race.exhausted).toBe(false);
  });

  it('is exhausted at once without addresses', () => {
    expect(new HappyEyeballs(0).exhausted).toBe(true);
  });

  // The oracle: simulate networks in which attempt i succeeds or fails `afterMs[i]` after its start, in virtual
  // time, and compare with what RFC 8305 section 5 says must come out.
  it('connects whenever any address would, within the time that the delays allow', () => {
    const outcome = fc.record({ ok: fc.boolean(), afterMs: fc.integer({ min: 0, max: 2000 }) });
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 8 }), (outcomes) => {
        const race = new HappyEyeballs(outcomes.length, 250);
        const ends: { index: number; atMs: number }[] = [];
        const starts: number[] = [];
        let nowMs = 0;
        let winner: number | undefined;
        for (let turn = 0; turn < 100 && winner === undefined && !race.exhausted; turn++) {
          for (let index = race.poll(nowMs); index !== undefined; index = race.poll(nowMs)) {
            starts[index] = nowMs;
            ends.push({ index, atMs: nowMs + outcomes[index]!.afterMs });
          }
          ends.sort((a, b) => a.atMs - b.atMs);
          const deadline = race.pollDeadlineMs() ?? Infinity;
          const end = ends[0];
          if (end === undefined || deadline < end.atMs) {
            nowMs = deadline;
            continue;
          }
          ends.shift();
          nowMs = Math.max(nowMs, end.atMs);
          if (outcomes[end.index]!.ok) {
            expect(race.handleConnected(end.index)).toBeDefined();
            winner = end.index;
          } else race.handleFailed(end.index);
        }
        expect(winner !== undefined).toBe(outcomes.some(({ ok }) => ok));
        // Attempts begin in order, each at most one delay after the one before.
        for (let i = 1; i < starts.length; i++) {
          expect(starts[i]! >= starts[i - 1]!).toBe(true);
          expect(starts[i]! - starts[i - 1]! <= 250).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
