import { describe, expect, it } from 'vitest';
import { filesOf, formatManifest, imageDigest, parseManifest, type ImageManifest } from './manifest.ts';

const SHA = 'a'.repeat(64);
const MANIFEST: ImageManifest = {
  format: 1,
  version: '0.1.0',
  architecture: 'x64',
  kind: 'kernel',
  kernelRelease: '6.1.0-56-cloud-amd64',
  node: '20.20.2',
  memoryMiB: 512,
  kernel: { name: 'vmlinuz', bytes: 10, sha256: SHA },
  initramfs: { name: 'initramfs.gz', bytes: 20, sha256: SHA },
};
const DISK: ImageManifest = {
  format: 1,
  version: '1',
  architecture: 'x64',
  kind: 'disk',
  memoryMiB: 512,
  disk: { name: 'disk.qcow2', bytes: 10, sha256: SHA },
};

const without = (name: keyof ImageManifest) =>
  Object.fromEntries(Object.entries(MANIFEST).filter(([key]) => key !== name));

describe('the manifest', () => {
  it.each([MANIFEST, DISK])('is read as it was written', (manifest) => {
    const text = formatManifest(manifest);
    expect(parseManifest(text)).toEqual(manifest);
    expect(imageDigest(manifest)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('has one text, whatever order its fields were given in', () => {
    const turned = Object.fromEntries(Object.entries(MANIFEST).reverse()) as unknown as ImageManifest;
    expect(imageDigest(turned)).toBe(imageDigest(MANIFEST));
    expect(filesOf(MANIFEST).map(({ name }) => name)).toEqual(['vmlinuz', 'initramfs.gz']);
  });

  it.each([
    ['{', 'no JSON'],
    ['[]', 'no JSON object'],
    [JSON.stringify({ ...MANIFEST, format: 2 }), 'format is 2'],
    [JSON.stringify({ ...MANIFEST, kind: 'tape' }), 'kind is "tape"'],
    [JSON.stringify(without('kernel')), 'its kernel is missing'],
    [JSON.stringify(without('version')), 'no version'],
    [JSON.stringify({ ...MANIFEST, memoryMiB: 1e9 }), 'memoryMiB'],
    [JSON.stringify({ ...MANIFEST, kernel: { ...MANIFEST.kernel, name: '../vmlinuz' } }), 'plain file name'],
    [JSON.stringify({ ...MANIFEST, kernel: { ...MANIFEST.kernel, name: '.hidden' } }), 'plain file name'],
    [JSON.stringify({ ...MANIFEST, kernel: { ...MANIFEST.kernel, bytes: 1e15 } }), 'no size'],
    [JSON.stringify({ ...MANIFEST, kernel: { ...MANIFEST.kernel, sha256: 'abc' } }), 'no SHA-256'],
    [JSON.stringify({ ...MANIFEST, initramfs: MANIFEST.kernel }), 'one name'],
    [JSON.stringify({ ...MANIFEST, kernel: { ...MANIFEST.kernel, name: 'manifest.json' } }), 'one name'],
  ])('%#: refuses %.40s', (text, why) => {
    expect(parseManifest(text)).toContain(why);
  });
});
