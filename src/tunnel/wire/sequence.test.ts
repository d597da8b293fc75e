import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RESTART_RUN, RestartDetector, SequenceVerdict } from './restart-detector.ts';
import { addToSequence, isBefore, nextSequence, sequenceDistance } from './sequence.ts';

const sequence = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe('sequence arithmetic', () => {
  it('goes on at 0 after the largest number', () => {
    expect(nextSequence(0xffffffff)).toBe(0);
    expect(isBefore(0xffffffff, 0)).toBe(true);
    expect(sequenceDistance(0xfffffff0, 0x10)).toBe(0x20);
  });

  it('agrees with whole numbers modulo 2^32', () => {
    fc.assert(
      fc.property(sequence, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (start, count) => {
        const end = addToSequence(start, count);
        expect(BigInt(end)).toBe(BigInt.asUintN(32, BigInt(start) + BigInt(count)));
        expect(sequenceDistance(start, end)).toBe(count);
        expect(isBefore(end, start)).toBe(count < 0);
      }),
    );
  });
});

describe('restart detector', () => {
  const feed = (detector: RestartDetector, numbers: readonly number[], first: number) => {
    let awaited = first;
    return numbers.map((number) => {
      const verdict = detector.observe(number, awaited);
      if (verdict !== SequenceVerdict.late) awaited = nextSequence(number);
      return verdict;
    });
  };

  it('takes a peer that begins at 0 after many packets for restarted at once', () => {
    expect(feed(new RestartDetector(900), [0, 1, 2], 5000)).toEqual([2, 0, 0]);
  });

  it('sees a restart whose first packets are lost after a short run', () => {
    const verdicts = feed(
      new RestartDetector(900),
      Array.from({ length: 20 }, (_, i) => 200 + i),
      100_000,
    );
    expect(verdicts.slice(0, RESTART_RUN - 1).every((verdict) => verdict === SequenceVerdict.late)).toBe(
      true,
    );
    expect(verdicts[RESTART_RUN - 1]).toBe(SequenceVerdict.restarted);
    expect(verdicts.slice(RESTART_RUN).every((verdict) => verdict === SequenceVerdict.current)).toBe(true);
  });

  it('sees a restart soon after the start, within the span of late packets', () => {
    const verdicts = feed(
      new RestartDetector(900),
      Array.from({ length: 20 }, (_, i) => i),
      300,
    );
    expect(verdicts.indexOf(SequenceVerdict.restarted)).toBe(RESTART_RUN - 1);
  });

  it('does not take one late packet with a small number for a restart, as the original does', () => {
    expect(feed(new RestartDetector(900), [60, 45, 61], 60)).toEqual([0, 1, 0]);
  });

  it('begins a run anew when a timely packet comes between', () => {
    const late = Array.from({ length: RESTART_RUN - 1 }, (_, i) => 200 + i);
    const verdicts = feed(
      new RestartDetector(900),
      [...late, 100_000, ...late.map((each) => each + 7)],
      100_000,
    );
    expect(verdicts).not.toContain(SequenceVerdict.restarted);
  });

  it('does not take the wrap-around for a restart', () => {
    expect(feed(new RestartDetector(900), [0xfffffffe, 0, 0xffffffff, 1], 0xfffffffe)).toEqual([0, 0, 1, 0]);
  });

  it('never speaks of a restart while a slow path is mixed with a fast one', () => {
    const delays = fc.array(fc.nat(900), { minLength: 2, maxLength: 400 });
    fc.assert(
      fc.property(delays, sequence, (delay, start) => {
        // Every second packet is timely, each other one delayed by at most the span of late packets.
        const arrivals = delay.map((late, i) => ({ at: i + (i % 2 === 0 ? 0 : late), i }));
        arrivals.sort((a, b) => a.at - b.at || a.i - b.i);
        const detector = new RestartDetector(900);
        let awaited = start;
        // What comes after the last timely packet has no timely one beside it.
        const timely = arrivals.findLastIndex((arrival) => arrival.i % 2 === 0);
        for (const arrival of arrivals.slice(0, timely + 1)) {
          const number = addToSequence(start, arrival.i);
          const verdict = detector.observe(number, awaited);
          expect(verdict).not.toBe(SequenceVerdict.restarted);
          if (verdict === SequenceVerdict.current) awaited = nextSequence(number);
        }
      }),
    );
  });
});
