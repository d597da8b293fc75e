/**
 * What the head of an ELF file says about how MPTCP can be given to the program (pure): is it linked statically, for
 * which machine is it, was it made by Go, and by which. Not a loader: sections and symbols are not read.
 *
 * Malformed files are returned as a reason. References: elf(5), <elf.h>; debug/buildinfo of Go.
 */
import {
  ElfSegmentType,
  elfText,
  readElfHead,
  readElfSegments,
  type ElfHead,
  type ElfSegment,
} from '../../base/index.ts';

export interface Elf extends ElfHead {
  /** The dynamic linker, `/lib64/ld-linux-x86-64.so.2`. Absent: linked statically. */
  readonly interpreter?: string;
  /** It has Go's build id note. */
  readonly madeByGo: boolean;
  /** Where writable data begins in the file; Go's build information is there. */
  readonly dataOffset?: number;
}

/** As much of a file's head as the program headers and the notes of usual linkers take. */
export const PROGRAM_HEAD_BYTES = 64 << 10;

const PF_W = 2;
const GO_BUILD_ID = 4;

/** `\0` ends the name `Go` and pads it to four bytes. */
function hasGoNote(view: DataView, head: Uint8Array, { offset, length }: ElfSegment): boolean {
  const end = Math.min(offset + length, head.length);
  for (let at = offset; at + 12 <= end;) {
    const nameBytes = view.getUint32(at, true);
    const valueBytes = view.getUint32(at + 4, true);
    const type = view.getUint32(at + 8, true);
    if (type === GO_BUILD_ID && nameBytes === 4 && elfText(head, at + 12, at + 16) === 'Go') return true;
    at += 12 + ((nameBytes + 3) & ~3) + ((valueBytes + 3) & ~3);
  }
  return false;
}

/** Returns what is wrong, as text, when this is no program that Linux runs on the machines that Weft knows. */
export function parseElf(head: Uint8Array): Elf | string {
  const kind = readElfHead(head);
  if (typeof kind === 'string') return kind;
  const segments = readElfSegments(head, kind.bits);
  if (typeof segments === 'string') return segments;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const interpreter = segments.find(({ type }) => type === ElfSegmentType.interpreter);
  const data = segments.find(({ type, flags }) => type === ElfSegmentType.load && (flags & PF_W) !== 0);
  return {
    ...kind,
    madeByGo: segments.some(
      (segment) => segment.type === ElfSegmentType.note && hasGoNote(view, head, segment),
    ),
    ...(interpreter === undefined
      ? {}
      : { interpreter: elfText(head, interpreter.offset, interpreter.offset + interpreter.length) }),
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
    const text =
      length < 0x80
        ? elfText(data, at + BUILD_INFO_HEAD_BYTES + 1, at + BUILD_INFO_HEAD_BYTES + 1 + length)
        : '';
    const match = /^(?:devel )?go(\d+)\.(\d+)/.exec(text);
    return match === null ? undefined : [Number(match[1]), Number(match[2])];
  }
  return undefined;
}
