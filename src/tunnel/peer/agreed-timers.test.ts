import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AgreedTimers } from './agreed-timers.ts';

const CONFIGURED = { keepaliveMs: 5000, deadMs: 11_000 };

const agreed = (configured = CONFIGURED) => {
  const timers = new AgreedTimers(configured, 0);
  timers.handlePeer(250, true, 0, 0);
  return timers;
};

it('as configured without a Weft peer, or if either end wants no short ones', () => {
  const timers = new AgreedTimers(CONFIGURED, 0);
  expect(timers.timers).toBe(CONFIGURED);
  expect(timers.announce()).toBe(5000);
  timers.handlePeer(1000, false, 0, 0);
  expect(timers.timers).toEqual(CONFIGURED);
  for (const configured of [
    { keepaliveMs: 0, deadMs: 3000 },
    { keepaliveMs: 1000, deadMs: 0 },
  ]) {
    const mine = agreed(configured);
    expect(mine.wantsShort).toBe(false);
    expect(mine.timers).toEqual(configured);
    expect(mine.announce()).toBe(configured.keepaliveMs);
  }
});

it('goes back to seconds when the peer is gone', () => {
  const timers = agreed();
  expect(timers.timers).toEqual({ keepaliveMs: 250, deadMs: 775 });
  expect(timers.patientDeadMs).toBe(950);
  timers.handlePeerGone();
  expect(timers.timers).toEqual(CONFIGURED);
  expect(timers.patientDeadMs).toBe(11_000);
});

it('never slower than configured', () => {
  const timers = agreed({ keepaliveMs: 100, deadMs: 200 });
  expect(timers.timers).toEqual({ keepaliveMs: 100, deadMs: 200 });
  expect(timers.patientDeadMs).toBe(200);
});

it('more keepalives may be missing where some are lost, and jitter is waited for', () => {
  const timers = agreed();
  const deadMs = (lossRatio: number, jitterUs: number) => {
    timers.handlePeer(50, true, lossRatio, jitterUs);
    return timers.timers.deadMs;
  };
  expect(deadMs(0, 0)).toBe(175);
  expect(deadMs(0.01, 0)).toBe(175);
  expect(deadMs(0.1, 0)).toBe(325);
  expect(deadMs(0.5, 0)).toBe(425);
  expect(deadMs(0, 10_000)).toBe(195);
  expect(deadMs(1, 1e9)).toBe(525);
});

it('slows down four keepalives after saying so', () => {
  const timers = agreed();
  timers.handleActivity(0, 0);
  timers.handleActivity(100, 250);
  expect(timers.timers.keepaliveMs).toBe(50);
  expect(timers.announce()).toBe(50);
  timers.handleActivity(100, 2300);
  for (let i = 0; i < 3; i++) {
    expect(timers.announce()).toBe(250);
    expect(timers.timers.keepaliveMs).toBe(50);
  }
  expect(timers.announce()).toBe(250);
  expect(timers.timers.keepaliveMs).toBe(250);
});

it('a packet now and then is not busy, a telephone is', () => {
  const timers = agreed();
  for (let ms = 0; ms < 10_000; ms += 250) timers.handleActivity(Math.floor(ms / 500), ms);
  expect(timers.isBusy).toBe(false);
  for (let ms = 10_000; ms < 11_000; ms += 250) timers.handleActivity(Math.floor(ms / 20), ms);
  expect(timers.isBusy).toBe(true);
});

it('whatever happens: dead comes after two announced intervals, and nothing is slower than configured', () => {
  const step = fc.record({
    packets: fc.nat(1000),
    waitMs: fc.integer({ min: 1, max: 3000 }),
    intervalMs: fc.constantFrom(50, 250, 1000, 0),
    wantsShort: fc.boolean(),
    lossRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    jitterUs: fc.nat(1e7),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const timers = new AgreedTimers(CONFIGURED, 0);
      let nowMs = 0;
      for (const { packets, waitMs, intervalMs, wantsShort, lossRatio, jitterUs } of steps) {
        nowMs += waitMs;
        timers.handleActivity(packets, nowMs);
        timers.handlePeer(intervalMs, wantsShort, lossRatio, jitterUs);
        const { keepaliveMs, deadMs } = timers.timers;
        expect(keepaliveMs).toBeLessThanOrEqual(CONFIGURED.keepaliveMs);
        expect(deadMs).toBeLessThanOrEqual(CONFIGURED.deadMs);
        expect(deadMs).toBeGreaterThan(2 * intervalMs);
        expect(timers.announce()).toBeGreaterThanOrEqual(keepaliveMs);
        expect(timers.patientDeadMs).toBeGreaterThanOrEqual(deadMs);
      }
    }),
  );
});
