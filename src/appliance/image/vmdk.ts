/**
 * What the head of a VMDK file says (pure): whether it is one self-contained sparse disk, and how large. qemu-img opens
 * every file that a VMDK names, so those that name another (a base, extents elsewhere) are refused before it sees them.
 *
 *   offset  size  field, little-endian (VMware Virtual Disk Format 1.1, "Hosted Sparse Extent Header")
 *   0       4     "KDMV"
 *   4       4     version, 1 to 3
 *   12      8     capacity, in sectors of 512 bytes; 0: only a descriptor follows, which names other files
 *   28      8     where the embedded descriptor begins, in sectors; 0: none
 *   36      8     how many sectors it has
 */

export interface VmdkHead {
  readonly capacityBytes: number;
}

/** As much as holds the header and the descriptor of usual files. */
export const VMDK_HEAD_BYTES = 64 * 1024;
/** BOUNDED: virtual size of a disk. */
const CAPACITY_MAX_BYTES = 64 * 1024 ** 3;
const SECTOR_BYTES = 512;

const TYPES: ReadonlySet<string> = new Set(['streamoptimized', 'monolithicsparse']);

const BASED_ON_ANOTHER = 'it is based on another disk';

/** Values of `key = value` and `key="value"`, keys in lower case. */
function descriptorProblem(descriptor: string): string | undefined {
  const values = new Map<string, string[]>();
  let extents = 0;
  for (const line of descriptor.split(/\r?\n|\r/)) {
    if (/^\s*(RW|RDONLY|NOACCESS)\s/.test(line)) extents++;
    const [, key, value] = /^\s*([A-Za-z.]+)\s*=\s*"?([^"]*)"?\s*$/.exec(line) ?? [];
    if (key === undefined) continue;
    const known = values.get(key.toLowerCase()) ?? [];
    known.push(value ?? '');
    values.set(key.toLowerCase(), known);
  }
  const types = values.get('createtype') ?? [];
  if (types.length !== 1 || !TYPES.has((types[0] ?? '').toLowerCase())) {
    return `its createType is ${JSON.stringify(types.join(', '))}, and only streamOptimized and monolithicSparse have all in one file`;
  }
  if (values.has('parentfilenamehint')) return BASED_ON_ANOTHER;
  if ((values.get('parentcid') ?? ['ffffffff']).some((id) => id.toLowerCase() !== 'ffffffff')) {
    return BASED_ON_ANOTHER;
  }
  if (extents !== 1) return `it has ${extents} extents, not one`;
  return undefined;
}

/** @param head the first VMDK_HEAD_BYTES of the file, or all of it @returns what it is, or why it is refused */
export function parseVmdkHead(head: Uint8Array): VmdkHead | string {
  if (head.length < SECTOR_BYTES || Buffer.from(head.subarray(0, 4)).toString('latin1') !== 'KDMV') {
    return 'it is no sparse VMDK disk in one file';
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const version = view.getUint32(4, true);
  if (version < 1 || version > 3) return `its version is ${version}`;
  const capacity = view.getBigUint64(12, true);
  const capacityBytes = Number(capacity) * SECTOR_BYTES;
  if (capacity === 0n) return 'it is only a description of other files';
  if (capacityBytes > CAPACITY_MAX_BYTES) return `it is larger than ${CAPACITY_MAX_BYTES} bytes`;
  const from = Number(view.getBigUint64(28, true)) * SECTOR_BYTES;
  const bytes = Number(view.getBigUint64(36, true)) * SECTOR_BYTES;
  if (from === 0 || bytes === 0) return 'it has no description in it';
  // qemu-img reads it there, whatever the header says.
  if (from !== SECTOR_BYTES) return 'its description is not where it should be';
  if (from + bytes > head.length) return 'its description is not at its head';
  const descriptor = Buffer.from(head.subarray(from, from + bytes))
    .toString('latin1')
    .replaceAll('\0', '\n');
  // Behind what counts as the description, too.
  const hidden = Buffer.from(head).toString('latin1').toLowerCase().includes('parentfilenamehint');
  return descriptorProblem(descriptor) ?? (hidden ? BASED_ON_ANOTHER : { capacityBytes });
}
