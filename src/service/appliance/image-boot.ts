/** How an image is booted (pure): its files as paths. */
import { join } from 'node:path';
import { brokenImage, type BootSource, type ImageFolder } from '../../appliance/index.ts';

/** @throws WeftError BROKEN_IMAGE */
export function bootSourceOf({ folder, manifest }: ImageFolder): BootSource {
  const { disk, initramfs, kernel, kind } = manifest;
  if (kind === 'disk' && disk !== undefined) {
    return { kind: 'disk', path: join(folder, disk.name), format: 'qcow2' };
  }
  if (kernel === undefined || initramfs === undefined) throw brokenImage(folder, 'it has nothing to boot');
  return { kind: 'kernel', kernel: join(folder, kernel.name), initramfs: join(folder, initramfs.name) };
}
