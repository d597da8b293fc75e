/** Quantities and times as the page shows them. */
import { expect, it } from 'vitest';
import {
  formatAddressPort,
  formatAge,
  formatAgo,
  formatCount,
  formatRate,
  formatShare,
  formatUs,
} from './format.ts';

it('quantities', () => {
  expect([undefined, 0, 0.2, 43_100_000].map(formatRate)).toEqual(['–', '0 bit/s', '0 bit/s', '43.1 Mbit/s']);
  expect([undefined, 350, 12_400].map(formatUs)).toEqual(['–', '350 µs', '12.4 ms']);
  expect([undefined, 0, 0.0004, 0.0034, 0.0999, 0.25, 1].map(formatShare)).toEqual([
    '–',
    '0 %',
    '< 0.1 %',
    '0.3 %',
    '10 %',
    '25 %',
    '100 %',
  ]);
});

it('times', () => {
  const now = 1_000_000_000;
  const ago = (seconds: number) => formatAgo(now - seconds * 1000, now);
  expect([-5, 0, 12, 75, 7300, 300_000].map(ago)).toEqual([
    'just now',
    'just now',
    '12 s ago',
    '1 min ago',
    '2 h ago',
    '3 days ago',
  ]);
  expect([900, 42_000, 185_000, 7_440_000, 284_400_000].map(formatAge)).toEqual([
    '0 s',
    '42 s',
    '3 min 5 s',
    '2 h 4 min',
    '3 d 7 h',
  ]);
});

it('counts and addresses', () => {
  expect([formatCount(1, 'path'), formatCount(2000, 'path'), formatCount(2, 'query', 'queries')]).toEqual([
    '1 path',
    '2,000 paths',
    '2 queries',
  ]);
  expect(formatAddressPort('192.0.2.1', 443)).toBe('192.0.2.1:443');
  expect(formatAddressPort('2001:db8::1', 443)).toBe('[2001:db8::1]:443');
});
