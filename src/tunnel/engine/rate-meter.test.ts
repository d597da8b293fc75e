import { expect, it } from 'vitest';
import { RATE_INTERVAL_MS, RateMeter } from './rate-meter.ts';

it('tells bits per second of the last interval, whatever was before', () => {
  const meter = new RateMeter(1000, 0, 0);
  meter.look(2000, 500, RATE_INTERVAL_MS - 1);
  expect(meter.sentBps).toBe(0);
  meter.look(126_000, 0, 1000);
  expect(meter.sentBps).toBe(1e6);
  expect(meter.receivedBps).toBe(0);
  meter.look(126_000, 250_000, 3000);
  expect(meter.sentBps).toBe(0);
  expect(meter.receivedBps).toBe(1e6);
});
