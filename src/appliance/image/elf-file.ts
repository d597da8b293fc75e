/**
 * What an image needs to know of ELF files (pure): the libraries that a program is linked with, and the modules that
 * a kernel module needs. 64 bits, little-endian; anything else is returned as a reason.
 *
 * References: elf(5); DT_NEEDED, DT_RUNPATH; MODULE_INFO in <linux/moduleparam.h> (section .modinfo, `key=value\0`).
 */
import {
  ELF_HEAD_BYTES,
  ElfSegmentType,
  elfText,
  readElfHead,
  readElfSegments,
  type ElfSegment,
} from '../../base/index.ts';

export interface LinkedLibraries {
  /** The dynamic linker; absent when linked statically. */
  readonly interpreter?: string;
  /** DT_NEEDED, in order. */
  readonly needed: readonly string[];
  /** DT_RUNPATH or DT_RPATH, as it stands. */
  readonly runpath?: string;
}

const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
/** BOUNDED: far more than any program has. */
const TABLE_MAX = 65_535;

const viewOf = (file: Uint8Array) => new DataView(file.buffer, file.byteOffset, file.byteLength);

function headProblem(file: Uint8Array): string | undefined {
  if (file.length < ELF_HEAD_BYTES) return 'it is too short for an ELF file';
  const head = readElfHead(file);
  if (typeof head === 'string') return head;
  return head.bits === 64 ? undefined : 'it is not for a 64-bit little-endian machine';
}

function readDynamic(view: DataView, region: ElfSegment): (readonly [tag: number, value: number])[] {
  const found: (readonly [number, number])[] = [];
  for (
    let at = region.offset;
    at + 16 <= region.offset + region.length && found.length < TABLE_MAX;
    at += 16
  ) {
    const tag = Number(view.getBigInt64(at, true));
    if (tag === DT_NULL) break;
    found.push([tag, Number(view.getBigUint64(at + 8, true))]);
  }
  return found;
}

/** What a program or library is linked with, or why that cannot be said. */
export function linkedLibraries(file: Uint8Array): LinkedLibraries | string {
  const problem = headProblem(file);
  if (problem !== undefined) return problem;
  try {
    const segments = readElfSegments(file, 64);
    if (typeof segments === 'string') return segments;
    const interpreter = segments.find(({ type }) => type === ElfSegmentType.interpreter);
    const dynamic = segments.find(({ type }) => type === ElfSegmentType.dynamic);
    const entries = dynamic === undefined ? [] : readDynamic(viewOf(file), dynamic);
    const tableAddress = entries.find(([tag]) => tag === DT_STRTAB)?.[1] ?? 0;
    const holder = segments.find(
      ({ type, address, length }) =>
        type === ElfSegmentType.load && tableAddress >= address && tableAddress < address + length,
    );
    const tableAt = holder === undefined ? 0 : tableAddress - holder.address + holder.offset;
    const text = (value: number) => elfText(file, tableAt + value);
    const runpath = entries.find(([tag]) => tag === DT_RUNPATH) ?? entries.find(([tag]) => tag === DT_RPATH);
    return {
      needed: entries.filter(([tag]) => tag === DT_NEEDED).map(([, value]) => text(value)),
      ...(interpreter === undefined ? {} : { interpreter: elfText(file, interpreter.offset) }),
      ...(runpath === undefined ? {} : { runpath: text(runpath[1]) }),
    };
  } catch {
    return 'it is cut off';
  }
}

/** The section .modinfo of a kernel module as keys with all their values, or why there is none. */
export function moduleInformation(file: Uint8Array): ReadonlyMap<string, readonly string[]> | string {
  const problem = headProblem(file);
  if (problem !== undefined) return problem;
  try {
    const view = viewOf(file);
    const from = Number(view.getBigUint64(0x28, true));
    const bytes = view.getUint16(0x3a, true);
    const count = view.getUint16(0x3c, true);
    const at = (index: number) => from + index * bytes;
    const names = Number(view.getBigUint64(at(view.getUint16(0x3e, true)) + 0x18, true));
    for (let i = 0; i < count; i++) {
      if (elfText(file, names + view.getUint32(at(i), true)) !== '.modinfo') continue;
      const offset = Number(view.getBigUint64(at(i) + 0x18, true));
      const length = Number(view.getBigUint64(at(i) + 0x20, true));
      if (offset + length > file.length) return 'it is cut off';
      return readPairs(Buffer.from(file.subarray(offset, offset + length)).toString('latin1'));
    }
    return 'it is no kernel module';
  } catch {
    return 'it is cut off';
  }
}

function readPairs(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const pair of text.split('\0')) {
    const at = pair.indexOf('=');
    if (at <= 0) continue;
    const values = found.get(pair.slice(0, at)) ?? [];
    values.push(pair.slice(at + 1));
    found.set(pair.slice(0, at), values);
  }
  return found;
}
