import { expect, it } from 'vitest';
import { bestProxyAddress } from './proxy-probe.ts';

it.each([
  [['[::1]:13128', '127.0.0.1:13128'], '127.0.0.1:13128'],
  [['192.168.1.2:3128'], '192.168.1.2:3128'],
  [['0.0.0.0:3128'], '127.0.0.1:3128'],
  [['[::]:3128'], '[::1]:3128'],
  [['192.168.1.2:3128', '0.0.0.0:3129'], '127.0.0.1:3129'],
  [[], undefined],
])('of %j programs of this machine are told %j', (addresses, best) => {
  expect(bestProxyAddress(addresses)).toBe(best);
});
