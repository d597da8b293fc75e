import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PauseMeter, RateMeter } from './demo-meter.ts';

describe('RateMeter', () => {
  it('is the rate of the window, not of all time', () => {
    const meter = new RateMeter(1000);
    expect(meter.rateBps).toBe(0);
    for (let atMs = 0; atMs <= 5000; atMs += 100) meter.add(atMs, atMs * 1000);
    expect(meter.rateBps).toBe(8e6);
    // It stops: after one window nothing is left of the past.
    for (let atMs = 5100; atMs <= 6000; atMs += 100) meter.add(atMs, 5e6);
    expect(meter.rateBps).toBe(0);
  });

  it('is never more than the steepest step', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 2, maxLength: 300 }), (steps) => {
        const meter = new RateMeter(500);
        let bytes = 0;
        for (const [i, step] of steps.entries()) {
          bytes += step;
          meter.add(i * 10, bytes);
          expect(meter.rateBps).toBeLessThanOrEqual(Math.max(...steps) * 800);
        }
      }),
    );
  });
});

it('PauseMeter knows the longest pause, the present one too', () => {
  const meter = new PauseMeter();
  expect(meter.longestMs(50)).toBe(0);
  meter.data(0);
  meter.data(900);
  meter.begin(1000);
  meter.data(1010);
  meter.data(1310);
  meter.data(1320);
  expect(meter.longestMs(1330)).toBe(300);
  expect(meter.longestMs(2000)).toBe(680);
});
