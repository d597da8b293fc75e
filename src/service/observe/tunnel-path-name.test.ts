import { expect, it } from 'vitest';
import { findTunnelPath, tunnelPathNames } from './tunnel-path-name.ts';

const paths = (...names: string[]) => names.map((interfaceName) => ({ interfaceName }));

it('calls a path by its link where that is enough', () => {
  expect(tunnelPathNames(paths('eth0', 'wlan0'))).toEqual(['eth0', 'wlan0']);
  expect(tunnelPathNames(paths('eth0', 'wlan0', 'eth0'))).toEqual(['eth0#0', 'wlan0', 'eth0#2']);
});

it('finds what it has called, and numbers', () => {
  const all = paths('eth0', 'wlan0', 'eth0');
  for (const [index, name] of tunnelPathNames(all).entries()) expect(findTunnelPath(all, name)).toBe(index);
  expect(findTunnelPath(all, '1')).toBe(1);
  expect(findTunnelPath(all, 'path_2')).toBe(2);
  for (const name of ['eth0', '3', 'path_3', '', '-1']) expect(findTunnelPath(all, name)).toBeUndefined();
  // A link may be called like a number.
  expect(findTunnelPath(paths('1', 'eth0'), '1')).toBe(0);
});
