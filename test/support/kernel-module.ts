/** Kernel modules of nothing but their information, for tests of what reads it. */

/** A kernel module with nothing but .modinfo, as a linker lays it out. */
export function moduleOf(pairs: readonly string[]): Uint8Array {
  const names = Buffer.from('\0.modinfo\0.shstrtab\0');
  const info = Buffer.from(pairs.map((pair) => `${pair}\0`).join(''));
  const infoAt = 64;
  const namesAt = infoAt + info.length;
  const tableAt = namesAt + names.length;
  const bytes = Buffer.alloc(tableAt + 3 * 64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  bytes.set(info, infoAt);
  bytes.set(names, namesAt);
  bytes.writeBigUInt64LE(BigInt(tableAt), 0x28);
  bytes.writeUInt16LE(64, 0x3a);
  bytes.writeUInt16LE(3, 0x3c);
  bytes.writeUInt16LE(2, 0x3e);
  const section = (index: number, name: number, offset: number, length: number) => {
    bytes.writeUInt32LE(name, tableAt + index * 64);
    bytes.writeBigUInt64LE(BigInt(offset), tableAt + index * 64 + 0x18);
    bytes.writeBigUInt64LE(BigInt(length), tableAt + index * 64 + 0x20);
  };
  section(1, 1, infoAt, info.length);
  section(2, 10, namesAt, names.length);
  return bytes;
}
