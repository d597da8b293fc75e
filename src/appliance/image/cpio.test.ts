import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emitCpio, type CpioEntry } from './cpio.ts';

const bytesOf = (entries: readonly CpioEntry[]) => Buffer.concat(emitCpio(entries));
const file = (path: string, text: string): CpioEntry => ({ kind: 'file', path, data: Buffer.from(text) });

/** Reads an archive as the kernel does (init/initramfs.c), as an oracle. */
function readCpio(
  bytes: Buffer,
): { name: string; mode: number; mtime: number; inode: number; data: string }[] {
  const found = [];
  for (let at = 0; ;) {
    expect(bytes.toString('latin1', at, at + 6)).toBe('070701');
    const field = (i: number) =>
      Number.parseInt(bytes.toString('latin1', at + 6 + 8 * i, at + 14 + 8 * i), 16);
    const [inode, mode, mtime, size, nameSize] = [field(0), field(1), field(5), field(6), field(11)];
    const name = bytes.toString('utf8', at + 110, at + 110 + nameSize - 1);
    const dataAt = (at + 110 + nameSize + 3) & ~3;
    if (name === 'TRAILER!!!') return found;
    const data = bytes.toString('utf8', dataAt, dataAt + size);
    found.push({ name, mode, mtime, inode, data });
    at = (dataAt + size + 3) & ~3;
  }
}

describe('emitCpio', () => {
  it('writes folders before what is in them, sorted, without a trace of this machine', () => {
    const found = readCpio(
      bytesOf([
        file('/usr/bin/node', 'node'),
        { kind: 'link', path: '/lib64', target: 'lib' },
        { kind: 'file', path: '/init', data: Buffer.from('#!'), executable: true },
        { kind: 'folder', path: '/proc' },
      ]),
    );
    expect(found.map(({ data, mode, name }) => [name, mode.toString(8), data])).toEqual([
      ['init', '100755', '#!'],
      ['lib64', '120777', 'lib'],
      ['proc', '40755', ''],
      ['usr', '40755', ''],
      ['usr/bin', '40755', ''],
      ['usr/bin/node', '100644', 'node'],
    ]);
    expect(new Set(found.map(({ mtime }) => mtime)).size).toBe(1);
    expect(new Set(found.map(({ inode }) => inode)).size).toBe(found.length);
  });

  it('is the same for the same entries in any order', () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,5}$/), { maxLength: 8 });
    fc.assert(
      fc.property(names, fc.nat(), (chosen, seed) => {
        const entries = chosen.map((name, i) => file(`/d${i % 3}/${name}`, name));
        const turned = entries.toSorted(
          (a, b) => ((a.path.length * seed) % 7) - ((b.path.length * seed) % 7),
        );
        expect(bytesOf(turned).equals(bytesOf(entries))).toBe(true);
        expect(readCpio(bytesOf(entries)).filter(({ data }) => data !== '').length).toBe(chosen.length);
      }),
    );
  });

  it.each(['relative', '/a/../b', '/a//b', '/', '/a/.', '/a\0b'])('refuses the path %j', (path) => {
    expect(() => emitCpio([file(path, '')])).toThrow('plain path');
  });

  it('refuses one path twice, and a file where a folder must be', () => {
    expect(() => emitCpio([file('/a', '1'), file('/a', '2')])).toThrow('twice');
    expect(() => emitCpio([file('/a', '1'), file('/a/b', '2')])).toThrow('twice');
  });
});
