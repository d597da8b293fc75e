import { expect, it } from 'vitest';
import { cgroupMount } from './cgroups.ts';

it('finds the mount of cgroup2, among those of version 1 too', () => {
  const lines = [
    '24 30 0:22 / /sys rw,nosuid - sysfs sysfs rw',
    '34 33 0:30 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,name=systemd',
    '35 33 0:31 / /sys/fs/my\\040groups rw,nosuid shared:10 master:3 - cgroup2 cgroup2 rw',
  ];
  expect(cgroupMount(lines.join('\n'))).toBe('/sys/fs/my groups');
  expect(cgroupMount(lines.slice(0, 2).join('\n'))).toBeUndefined();
  expect(cgroupMount('')).toBeUndefined();
});
