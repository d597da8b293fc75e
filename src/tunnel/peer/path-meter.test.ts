import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PathMeter } from './path-meter.ts';

const U32 = 2 ** 32;

/** One direction of a path: keepalives with data in between, and their echoes. */
function run(
  meter: PathMeter,
  options: {
    readonly rounds: number;
    readonly packets: number;
    readonly arrives: (packet: number) => boolean;
    readonly rttUs?: (round: number) => number;
    readonly startPackets?: number;
    readonly heldUs?: number;
  },
): void {
  const { rounds, packets, arrives, rttUs = () => 30_000, startPackets = 0, heldUs = 1000 } = options;
  let sent = startPackets;
  let received = startPackets;
  for (let round = 1; round <= rounds; round++) {
    for (let i = 0; i < packets; i++) if (arrives(sent++)) received++;
    const sentUs = round * 100_000;
    meter.handleSent(round, sentUs, sent, sent * 1000);
    const peerArrivedUs = (sentUs + rttUs(round) / 2 + 12_345_678) % U32;
    const counts = { receivedPackets: received % U32, receivedBytes: (received * 1000) % 2 ** 48 };
    meter.handleEcho({ number: round, heldUs, peerArrivedUs, counts }, sentUs + rttUs(round) + heldUs);
  }
}

it('the time that the peer kept a keepalive is no part of the round trip', () => {
  for (const heldUs of [0, 1000, 900_000]) {
    const meter = new PathMeter();
    run(meter, { rounds: 20, packets: 10, arrives: () => true, heldUs });
    expect(meter.rttUs).toBeCloseTo(30_000, 6);
  }
});

it('loss is what was lost, over the wrap-around of the counters, too', () => {
  for (const startPackets of [0, U32 - 500]) {
    const meter = new PathMeter();
    run(meter, { rounds: 200, packets: 50, arrives: (packet) => packet % 10 !== 3, startPackets });
    expect(meter.lossRatio).toBeCloseTo(0.1, 6);
    expect(meter.deliveredBps! / (450 * 8000)).toBeCloseTo(1, 6);
  }
});

it('is right for any loss', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), fc.nat(60), (seed, percent) => {
      const meter = new PathMeter();
      let state = seed >>> 0;
      const arrives = () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state / U32 >= percent / 100;
      };
      run(meter, { rounds: 400, packets: 50, arrives });
      expect(Math.abs(meter.lossRatio! - percent / 100)).toBeLessThan(0.08);
    }),
    { numRuns: 20 },
  );
});

it('packets counted on the other side of a keepalive cancel out', () => {
  const meter = new PathMeter();
  let sent = 0;
  for (let round = 1; round <= 400; round++) {
    sent += 20;
    meter.handleSent(round, round * 100_000, sent, sent * 1000);
    // Every second keepalive overtakes five packets.
    const received = sent - (round % 2 === 0 ? 5 : 0);
    const counts = { receivedPackets: received, receivedBytes: received * 1000 };
    meter.handleEcho(
      { number: round, heldUs: 0, peerArrivedUs: round * 100_000, counts },
      round * 100_000 + 1,
    );
  }
  expect(meter.lossRatio).toBeLessThan(0.06);
});

it('jitter is that of RFC 3550, whatever the clocks are', () => {
  for (const offsetUs of [0, 5_000_000_000]) {
    const meter = new PathMeter();
    let expected: number | undefined;
    for (let i = 0; i < 100; i++) {
      const sentUs = (i * 50_000 + offsetUs) % U32;
      const delayUs = i % 2 === 0 ? 10_000 : 14_000;
      meter.handleArrival(sentUs, i * 50_000 + delayUs, i, i);
      if (i > 0) expected = (expected ?? 0) + (4000 - (expected ?? 0)) / 16;
    }
    expect(meter.jitterUs).toBeCloseTo(expected!, 3);
  }
});

it('a queue that grows shows in the capacity: what arrives, by the clock of the receiver', () => {
  const meter = new PathMeter();
  // 500 packets are sent in each 100 ms, 250 in that time arrive; the rest waits, nothing is lost.
  run(meter, {
    rounds: 40,
    packets: 500,
    arrives: () => true,
    rttUs: (round) => 2 * round * 100_000,
  });
  const halfBps = (250 * 8000) / 0.1;
  expect(meter.deliveredBps! / halfBps).toBeCloseTo(1, 1);
  expect(meter.capacityBps! / halfBps).toBeLessThan(1.2);
});

it('numbers that are not remembered and counters that went back are left out', () => {
  const meter = new PathMeter();
  const echo = (number: number, packets: number) =>
    meter.handleEcho(
      { number, heldUs: 0, peerArrivedUs: 0, counts: { receivedPackets: packets, receivedBytes: 0 } },
      1e6,
    );
  expect(echo(5, 0)).toBe(false);
  expect(meter.rttUs).toBeUndefined();
  meter.handleSent(1, 0, 100, 1000);
  expect(echo(1, 1000)).toBe(true);
  expect(echo(1, 1000)).toBe(false);
  meter.handleSent(2, 500_000, 200, 1000);
  echo(2, 3);
  expect(meter.lossRatio).toBeUndefined();
});
