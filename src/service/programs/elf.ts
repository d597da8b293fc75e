/**
 * What the head of an ELF file says about how MPTCP can be given to the program (pure): is it linked statically, for
 * which machine is it, was it made by Go, and by which. Not a loader: sections and symbols are not read.
 *
 * Malformed files are returned as a reason. References: elf(5), <elf.h>; debug/buildinfo of Go.
 */

export interface Elf {
  readonly bits: 32 | 64;
  /** e_machine: 62 x86-64, 183 AArch64 … */
  readonly machine: number;
  /** The dynamic linker, `/lib64/ld-linux-x86-64.so.2`. Absent: linked statically. */
  readonly interpreter?: string;
  /** It has Go's build id note. */
  readonly madeByGo: boolean;
  /** Where writable data begins in the file; Go's build information is there. */
  readonly dataOffset?: number;
}

/** As much of a file's head as the program headers and the notes of usual linkers take. */
export const ELF_HEAD_BYTES = 64 << 10;

const MAGIC = [0x7f, 0x45, 0x4c, 0x46] as const;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;
const PF_W = 2;
/** BOUNDED: e_phnum is 16 bits wide; real files have about ten. */
const PROGRAM_HEADERS_MAX = 64;
const GO_BUILD_ID = 4;

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
}

export function isElf(head: Uint8Array): boolean {
  return MAGIC.every((byte, i) => head[i] === byte);
}

function textAt(head: Uint8Array, from: number, length: number): string {
  let text = '';
  for (const byte of head.subarray(from, from + length)) {
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** `\0` ends the name `Go` and pads it to four bytes. */
function hasGoNote(view: DataView, head: Uint8Array, { offset, length }: Segment): boolean {
  const end = Math.min(offset + length, head.length);
  for (let at = offset; at + 12 <= end;) {
    const nameBytes = view.getUint32(at, true);
    const valueBytes = view.getUint32(at + 4, true);
    const type = view.getUint32(at + 8, true);
    if (type === GO_BUILD_ID && nameBytes === 4 && textAt(head, at + 12, 4) === 'Go') return true;
    at += 12 + ((nameBytes + 3) & ~3) + ((valueBytes + 3) & ~3);
  }
  return false;
}

function readSegments(view: DataView, bits: 32 | 64): Segment[] | string {
  const wide = bits === 64;
  const tableAt = wide ? Number(view.getBigUint64(0x20, true)) : view.getUint32(0x1c, true);
  const entryBytes = view.getUint16(wide ? 0x36 : 0x2a, true);
  const count = view.getUint16(wide ? 0x38 : 0x2c, true);
  if (entryBytes < (wide ? 56 : 32) || count > PROGRAM_HEADERS_MAX) return 'its program headers are unusual';
  if (tableAt + entryBytes * count > view.byteLength) return 'its program headers are not at its head';
  const segments: Segment[] = [];
  for (let at = tableAt; segments.length < count; at += entryBytes) {
    segments.push({
      type: view.getUint32(at, true),
      flags: view.getUint32(at + (wide ? 4 : 24), true),
      offset: wide ? Number(view.getBigUint64(at + 8, true)) : view.getUint32(at + 4, true),
      length: wide ? Number(view.getBigUint64(at + 32, true)) : view.getUint32(at + 16, true),
    });
  }
  return segments;
}

/** Returns what is wrong, as text, when this is no program that Linux runs on the machines that Weft knows. */
export function parseElf(head: Uint8Array): Elf | string {
  if (!isElf(head)) return 'it is no ELF file';
  if (head.length < 64) return 'it is cut off';
  if (head[5] !== LITTLE_ENDIAN) return 'its byte order is not that of this machine';
  const bits = head[4] === CLASS_64 ? 64 : 32;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const segments = readSegments(view, bits);
  if (typeof segments === 'string') return segments;
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const data = segments.find(({ type, flags }) => type === PT_LOAD && (flags & PF_W) !== 0);
  return {
    bits,
    machine: view.getUint16(18, true),
    madeByGo: segments.some((segment) => segment.type === PT_NOTE && hasGoNote(view, head, segment)),
    ...(interpreter === undefined
      ? {}
      : { interpreter: textAt(head, interpreter.offset, interpreter.length) }),
    ...(data === undefined ? {} : { dataOffset: data.offset }),
  };
}

/** `\xff Go buildinf:`, on a multiple of 16 bytes. */
const BUILD_INFO = [0xff, 0x20, 0x47, 0x6f, 0x20, 0x62, 0x75, 0x69, 0x6c, 0x64, 0x69, 0x6e, 0x66, 0x3a];
const BUILD_INFO_HEAD_BYTES = 32;
/** Since Go 1.18 the version stands behind the head, its length before it. */
const VERSION_IS_INLINE = 2;

/** The version of Go in the beginning of the writable data, as `[1, 21]`; older ones than 1.18 are not found. */
export function goVersion(data: Uint8Array): readonly [major: number, minor: number] | undefined {
  for (let at = 0; at + BUILD_INFO_HEAD_BYTES < data.length; at += 16) {
    if (!BUILD_INFO.every((byte, i) => data[at + i] === byte)) continue;
    if (((data[at + 15] ?? 0) & VERSION_IS_INLINE) === 0) return undefined;
    const length = data[at + BUILD_INFO_HEAD_BYTES] ?? 0;
    // A longer text would have a length of two bytes; versions are short.
    const text = length < 0x80 ? textAt(data, at + BUILD_INFO_HEAD_BYTES + 1, length) : '';
    const match = /^(?:devel )?go(\d+)\.(\d+)/.exec(text);
    return match === null ? undefined : [Number(match[1]), Number(match[2])];
  }
  return undefined;
}
