/**
 * The head of an ELF file and its program headers, of 32 or 64 bits, little-endian (pure). What they mean for a
 * question is the asker's business. Malformed files are returned as a reason.
 *
 * References: elf(5), <elf.h>.
 */

export const ElfSegmentType = { load: 1, dynamic: 2, interpreter: 3, note: 4 } as const;

export interface ElfSegment {
  /** PT_* */
  readonly type: number;
  /** PF_* */
  readonly flags: number;
  /** Where it begins in the file, and how long it is there. */
  readonly offset: number;
  readonly length: number;
  /** Where it begins in memory. */
  readonly address: number;
}

export interface ElfHead {
  readonly bits: 32 | 64;
  /** e_machine: 62 x86-64, 183 AArch64 … */
  readonly machine: number;
}

const MAGIC = [0x7f, 0x45, 0x4c, 0x46] as const;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
/** The longest of the two heads (Elf64_Ehdr). */
export const ELF_HEAD_BYTES = 64;
/** BOUNDED: e_phnum is 16 bits wide; real files have about ten. */
const PROGRAM_HEADERS_MAX = 64;

export function isElf(file: Uint8Array): boolean {
  return MAGIC.every((byte, i) => file[i] === byte);
}

/** What the first 64 bytes say. */
export function readElfHead(file: Uint8Array): ElfHead | string {
  if (!isElf(file)) return 'it is no ELF file';
  if (file.length < ELF_HEAD_BYTES) return 'it is cut off';
  if (file[5] !== LITTLE_ENDIAN) return 'its byte order is not that of this machine';
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  return { bits: file[4] === CLASS_64 ? 64 : 32, machine: view.getUint16(18, true) };
}

/** @param bits as `readElfHead` says */
export function readElfSegments(file: Uint8Array, bits: 32 | 64): ElfSegment[] | string {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const wide = bits === 64;
  const tableAt = wide ? Number(view.getBigUint64(0x20, true)) : view.getUint32(0x1c, true);
  const entryBytes = view.getUint16(wide ? 0x36 : 0x2a, true);
  const count = view.getUint16(wide ? 0x38 : 0x2c, true);
  if (entryBytes < (wide ? 56 : 32) || count > PROGRAM_HEADERS_MAX) return 'its program headers are unusual';
  if (tableAt + entryBytes * count > view.byteLength) return 'its program headers are not at its head';
  const word = (at: number) => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  return Array.from({ length: count }, (_, index) => {
    const at = tableAt + index * entryBytes;
    return {
      type: view.getUint32(at, true),
      flags: view.getUint32(at + (wide ? 4 : 24), true),
      offset: word(at + (wide ? 8 : 4)),
      address: word(at + (wide ? 16 : 8)),
      length: word(at + (wide ? 32 : 16)),
    };
  });
}

/** Text up to its terminating zero, or up to `end`. */
export function elfText(file: Uint8Array, at: number, end = file.length): string {
  const zero = file.indexOf(0, at);
  const bytes = file.subarray(at, zero < 0 ? end : Math.min(zero, end));
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
