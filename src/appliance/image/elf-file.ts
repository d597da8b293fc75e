/**
 * What an image needs to know of ELF files (pure): the libraries that a program is linked with, and the modules that
 * a kernel module needs. 64 bits, little-endian; anything else is returned as a reason.
 *
 * References: elf(5); DT_NEEDED, DT_RUNPATH; MODULE_INFO in <linux/moduleparam.h> (section .modinfo, `key=value\0`).
 */

export interface LinkedLibraries {
  /** The dynamic linker; absent when linked statically. */
  readonly interpreter?: string;
  /** DT_NEEDED, in order. */
  readonly needed: readonly string[];
  /** DT_RUNPATH or DT_RPATH, as it stands. */
  readonly runpath?: string;
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
/** BOUNDED: far more than any program has. */
const TABLE_MAX = 65_535;

interface Region {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

const viewOf = (file: Uint8Array) => new DataView(file.buffer, file.byteOffset, file.byteLength);

function textAt(file: Uint8Array, at: number): string {
  const end = file.indexOf(0, at);
  return end < 0 ? '' : Buffer.from(file.subarray(at, end)).toString('latin1');
}

function headProblem(file: Uint8Array): string | undefined {
  if (file.length < 64) return 'it is too short for an ELF file';
  if (file[0] !== 0x7f || file[1] !== 0x45 || file[2] !== 0x4c || file[3] !== 0x46)
    return 'it is no ELF file';
  if (file[4] !== 2 || file[5] !== 1) return 'it is not for a 64-bit little-endian machine';
  return undefined;
}

/** `at`: e_phoff or e_shoff; sizes and counts behind. Throws RangeError for what is cut off. */
function readSegments(view: DataView): Region[] {
  const from = Number(view.getBigUint64(0x20, true));
  const bytes = view.getUint16(0x36, true);
  const count = view.getUint16(0x38, true);
  return Array.from({ length: count }, (_, i) => {
    const at = from + i * bytes;
    return {
      type: view.getUint32(at, true),
      offset: Number(view.getBigUint64(at + 8, true)),
      address: Number(view.getBigUint64(at + 16, true)),
      bytes: Number(view.getBigUint64(at + 32, true)),
    };
  });
}

function readDynamic(view: DataView, region: Region): (readonly [tag: number, value: number])[] {
  const found: (readonly [number, number])[] = [];
  for (
    let at = region.offset;
    at + 16 <= region.offset + region.bytes && found.length < TABLE_MAX;
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
    const view = viewOf(file);
    const segments = readSegments(view);
    const interpreter = segments.find(({ type }) => type === PT_INTERP);
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
    const entries = dynamic === undefined ? [] : readDynamic(view, dynamic);
    const tableAddress = entries.find(([tag]) => tag === DT_STRTAB)?.[1] ?? 0;
    const holder = segments.find(
      ({ type, address, bytes }) =>
        type === PT_LOAD && tableAddress >= address && tableAddress < address + bytes,
    );
    const tableAt = holder === undefined ? 0 : tableAddress - holder.address + holder.offset;
    const text = (value: number) => textAt(file, tableAt + value);
    const runpath = entries.find(([tag]) => tag === DT_RUNPATH) ?? entries.find(([tag]) => tag === DT_RPATH);
    return {
      needed: entries.filter(([tag]) => tag === DT_NEEDED).map(([, value]) => text(value)),
      ...(interpreter === undefined ? {} : { interpreter: textAt(file, interpreter.offset) }),
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
      if (textAt(file, names + view.getUint32(at(i), true)) !== '.modinfo') continue;
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
