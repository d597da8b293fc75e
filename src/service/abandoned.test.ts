import { expect, it } from 'vitest';
import { mountedNamespaces } from './abandoned.ts';

it('mountedNamespaces finds network namespaces among mounts, and no other', () => {
  const mountinfo = [
    '22 28 0:20 / /proc rw,nosuid - proc proc rw',
    '411 25 0:4 net:[4026532288] /run/netns/blue rw shared:218 - nsfs nsfs rw',
    '412 25 0:4 net:[4026532300] /run/docker/netns/a\\040b rw - nsfs nsfs rw',
    '413 25 0:4 mnt:[4026532301] /run/snapd/ns/x.mnt rw - nsfs nsfs rw',
    '414 25 8:1 /net:[1] /home rw - ext4 /dev/sda1 rw',
  ].join('\n');
  expect(mountedNamespaces(mountinfo)).toEqual([4_026_532_288, 4_026_532_300]);
});
