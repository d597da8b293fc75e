import { describe, expect, it } from 'vitest';
import { parseVmdkHead } from './vmdk.ts';

const DESCRIPTOR = `# Disk DescriptorFile
version=1
CID=7f3c1234
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW 16384 SPARSE "disk.vmdk"
`;

function headOf(descriptor: string, change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from('KDMV'));
  view.setUint32(4, 3, true);
  view.setBigUint64(12, 16_384n, true);
  view.setBigUint64(28, 1n, true);
  view.setBigUint64(36, 4n, true);
  bytes.set(Buffer.from(descriptor), 512);
  change(view);
  return bytes;
}

describe('parseVmdkHead', () => {
  it('knows a disk that is all in one file', () => {
    expect(parseVmdkHead(headOf(DESCRIPTOR))).toEqual({ capacityBytes: 8 << 20 });
  });

  it.each([
    ['is another format', Buffer.from('QFI\xfb'), 'no sparse VMDK'],
    ['has another magic', headOf(DESCRIPTOR, (view) => view.setUint32(0, 1)), 'no sparse VMDK'],
    [
      'is a description only',
      headOf(DESCRIPTOR, (view) => view.setBigUint64(12, 0n, true)),
      'description of other',
    ],
    ['is huge', headOf(DESCRIPTOR, (view) => view.setBigUint64(12, 1n << 50n, true)), 'larger'],
    ['has no descriptor', headOf(DESCRIPTOR, (view) => view.setBigUint64(28, 0n, true)), 'no description'],
    [
      'has it elsewhere',
      headOf(DESCRIPTOR, (view) => view.setBigUint64(28, 2n, true)),
      'not where it should be',
    ],
    [
      'has a long one',
      headOf(DESCRIPTOR, (view) => view.setBigUint64(36, 1n << 40n, true)),
      'not at its head',
    ],
    [
      'hides its base behind the description',
      headOf(DESCRIPTOR, (view) =>
        new Uint8Array(view.buffer).set(Buffer.from('parentFileNameHint="x"'), 3072),
      ),
      'based on another',
    ],
    ['is in many files', headOf(DESCRIPTOR.replace('streamOptimized', 'twoGbMaxExtentSparse')), 'createType'],
    [
      'names another file as its base',
      headOf(`${DESCRIPTOR}parentFileNameHint="/etc/shadow"\n`),
      'based on another',
    ],
    ['has a parent', headOf(DESCRIPTOR.replace('ffffffff', '12345678')), 'based on another'],
    ['has two extents', headOf(`${DESCRIPTOR}RW 10 FLAT "/etc/shadow" 0\n`), '2 extents'],
    ['says its type twice', headOf(`${DESCRIPTOR}createType="vmfs"\n`), 'createType'],
  ])('refuses one that %s', (_what, head, why) => {
    expect(parseVmdkHead(head)).toContain(why);
  });
});
