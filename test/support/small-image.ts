/** What tests of the appliance's images need none to boot for. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatManifest, type ImageManifest } from '../../src/appliance/index.ts';

export const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');

/** An image that cannot boot, which is enough for all that does not boot it. */
export function smallImage(
  folder: string,
  name: string,
  text = name,
  change: Partial<ImageManifest> = {},
): string {
  const path = join(folder, name);
  mkdirSync(path);
  const file = (fileName: string, data: string) => {
    writeFileSync(join(path, fileName), data);
    return { name: fileName, bytes: Buffer.byteLength(data), sha256: sha256(data) };
  };
  const manifest: ImageManifest = {
    format: 1,
    version: '0.1.0',
    architecture: process.arch,
    kind: 'kernel',
    memoryMiB: 128,
    kernel: file('vmlinuz', `kernel ${text}`),
    initramfs: file('initramfs.gz', `initramfs ${text}`),
    ...change,
  };
  writeFileSync(join(path, 'manifest.json'), formatManifest(manifest));
  return path;
}
