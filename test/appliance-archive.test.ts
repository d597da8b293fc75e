/**
 * Images of the appliance that are given away and taken, as OVA archives and disks, with everything that can be wrong with
 * what a stranger gives.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack, type Headers } from 'tar-stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exportImage, ImageStore, importImage } from '../src/service/index.ts';
import { sha256, smallImage } from './support/small-image.ts';

let folder: string;
let store: ImageStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-image-'));
  store = new ImageStore(join(folder, 'store'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

const images = () => readdirSync(join(store.folder, 'images'));

/** `pax`: an extended head with these fields. */
type Head = Partial<Headers> & { readonly name: string; readonly pax?: Readonly<Record<string, string>> };
type Entry = readonly [head: Head, data: string];

/** A tar archive of these, in this order, with nothing checked. */
async function tarOf(entries: readonly Entry[]): Promise<string> {
  const path = join(folder, 'hand.ova');
  const archive = pack();
  for (const [head, data] of entries) archive.entry(head, data);
  archive.finalize();
  await pipeline(archive, createWriteStream(path));
  return path;
}

const ENVELOPE =
  'xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"';
const ovfOf = (names: readonly string[], disks: readonly string[] = []) =>
  `<Envelope ${ENVELOPE}><References>${names
    .map((name) => `<File ovf:id="${name}" ovf:href="${name}"/>`)
    .join('')}</References><DiskSection>${disks
    .map((name) => `<Disk ovf:fileRef="${name}"/>`)
    .join('')}</DiskSection></Envelope>`;
const digestsOf = (files: readonly (readonly [string, string])[]) =>
  files.map(([name, data]) => `SHA256(${name})= ${sha256(data)}\n`).join('');

describe('given away and taken', () => {
  it('is the same image, in the same bytes each time', async () => {
    const image = await store.adopt(smallImage(folder, 'one'));
    const [first, second] = [join(folder, '1.ova'), join(folder, '2.ova')];
    await exportImage(store, first);
    await exportImage(store, second);
    expect(readFileSync(first).equals(readFileSync(second))).toBe(true);
    const other = new ImageStore(join(folder, 'other'));
    expect((await importImage(other, first)).digest).toBe(image.digest);
    expect(readFileSync(join(other.current()!.folder, 'vmlinuz'), 'utf8')).toBe('kernel one');
    // Debian's tar reads it, too, and the envelope comes first.
    const listed = execFileSync('tar', ['tf', first], { encoding: 'utf8' }).trim().split('\n');
    expect(listed).toEqual([
      'weft-appliance.ovf',
      'weft-appliance.mf',
      'manifest.json',
      'vmlinuz',
      'initramfs.gz',
    ]);
    expect(readdirSync(other.folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('says where it could not be written', async () => {
    await store.adopt(smallImage(folder, 'good'));
    await expect(exportImage(store, folder)).rejects.toMatchObject({
      code: 'EISDIR',
      message: expect.stringContaining(`write "${folder}": illegal operation on a directory (EISDIR) — `),
    });
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('.weft-export-'))).toEqual([]);
  });

  it('is not given away when it is damaged, or when there is none', async () => {
    const path = join(folder, 'x.ova');
    await expect(exportImage(store, path)).rejects.toMatchObject({ code: 'NO_IMAGE' });
    const image = await store.adopt(smallImage(folder, 'one'));
    writeFileSync(join(image.folder, 'vmlinuz'), 'kernel oxe');
    await expect(exportImage(store, path)).rejects.toMatchObject({ code: 'BROKEN_IMAGE' });
    expect(existsSync(path)).toBe(false);
  });

  it('is refused at every changed byte that counts', async () => {
    await store.adopt(smallImage(folder, 'one'));
    const path = join(folder, 'x.ova');
    await exportImage(store, path);
    const bytes = readFileSync(path);
    const before = store.current()?.digest;
    // Of each file: its content and its name in the archive's head.
    for (const text of [
      'kernel one',
      'initramfs one',
      'SHA256(vmlinuz)',
      '"memoryMiB"',
      '<References>',
      'manifest.json',
    ]) {
      const changed = Buffer.from(bytes);
      changed[bytes.indexOf(text) + 2]! ^= 1;
      writeFileSync(path, changed);
      await expect(importImage(store, path), text).rejects.toMatchObject({ code: 'BROKEN_IMAGE' });
    }
    for (const length of [0, 100, 512, 1500, 5000]) {
      writeFileSync(path, bytes.subarray(0, length));
      await expect(importImage(store, path), `${length} bytes`).rejects.toMatchObject({
        code: 'BROKEN_IMAGE',
      });
    }
    expect(store.current()?.digest).toBe(before);
    expect(readdirSync(store.folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  const plain = (text: string) => [{ name: 'x.ovf' }, text] as const;

  it.each<[string, readonly Entry[], string]>([
    ['a path that leads out', [[{ name: '../x.ovf' }, '']], 'no plain name'],
    ['an absolute path', [[{ name: '/etc/x.ovf' }, '']], 'no plain name'],
    ['a path that leads out, later', [plain(ovfOf([])), [{ name: 'a/../../b' }, '']], 'no plain name'],
    [
      'a symbolic link',
      [plain(ovfOf([])), [{ name: 'b', type: 'symlink', linkname: '/etc' }, '']],
      'is a symlink',
    ],
    [
      'a hard link',
      [plain(ovfOf([])), [{ name: 'b', type: 'link', linkname: '/etc/passwd' }, '']],
      'is a link',
    ],
    ['a device', [plain(ovfOf([])), [{ name: 'b', type: 'character-device' }, '']], 'is a character-device'],
    [
      'a path in an extended head',
      [plain(ovfOf([])), [{ name: 'b', pax: { path: '../b' } }, '']],
      'no plain name',
    ],
    ['a folder', [plain(ovfOf([])), [{ name: 'b', type: 'directory' }, '']], 'is a directory'],
    ['something before the envelope', [[{ name: 'a' }, ''], plain(ovfOf([]))], 'its first file'],
    ['two envelopes', [plain(ovfOf([])), [{ name: 'y.ovf' }, '']], 'its first file'],
    ['a file twice', [plain(ovfOf([])), [{ name: 'a' }, ''], [{ name: 'a' }, '']], 'twice'],
    ['two .mf files', [plain(ovfOf([])), [{ name: 'a.mf' }, ''], [{ name: 'b.mf' }, '']], 'two .mf'],
    ['no .mf file', [plain(ovfOf([]))], 'no .mf file'],
    ['an envelope that is too large', [plain(' '.repeat(2 << 20))], 'too large'],
    [
      'many files',
      [plain(ovfOf([])), ...Array.from({ length: 40 }, (_, i): Entry => [{ name: `f${i}` }, ''])],
      'more than 32',
    ],
    ['no digest of the envelope', [plain(ovfOf([])), [{ name: 'x.mf' }, '']], 'no digest of "x.ovf"'],
    [
      'a file that is missing',
      [plain(ovfOf(['a'])), [{ name: 'x.mf' }, digestsOf([['x.ovf', ovfOf(['a'])]])]],
      '"a", which its .ovf names, is missing',
    ],
    [
      'no digest of a file',
      [plain(ovfOf(['a'])), [{ name: 'x.mf' }, digestsOf([['x.ovf', ovfOf(['a'])]])], [{ name: 'a' }, 'A']],
      'no digest of "a"',
    ],
    [
      'neither manifest nor disk',
      [plain(ovfOf([])), [{ name: 'x.mf' }, digestsOf([['x.ovf', ovfOf([])]])]],
      'neither a manifest.json nor a disk',
    ],
  ])('refuses an OVA with %s', async (_what, entries, why) => {
    const path = await tarOf(entries);
    await expect(importImage(store, path)).rejects.toMatchObject({
      code: 'BROKEN_IMAGE',
      message: expect.stringContaining(why) as string,
    });
    expect(store.current()).toBeUndefined();
    expect(readdirSync(folder).sort()).toEqual(['hand.ova', 'store']);
    expect(readdirSync(store.folder)).toEqual([]);
  });
});

/** A head that says: an extended head of so many bytes follows. */
function extendedHead(bytes: number): Buffer {
  const head = Buffer.alloc(512);
  head.write('pax', 0);
  head.write('0000644\0', 100);
  head.write('0000000\0', 108);
  head.write('0000000\0', 116);
  head.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
  head.write('00000000000\0', 136);
  head.write('        x', 148);
  head.write('ustar\x0000', 257);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return head;
}

it('an OVA that would fill the memory is not read on', async () => {
  const path = join(folder, 'bomb.ova');
  writeFileSync(path, extendedHead(2 ** 32));
  truncateSync(path, 2 ** 32);
  const before = process.memoryUsage().rss;
  await expect(importImage(store, path)).rejects.toMatchObject({
    code: 'BROKEN_IMAGE',
    message: expect.stringContaining('beside its files') as string,
  });
  expect(process.memoryUsage().rss - before).toBeLessThan(400 << 20);
});

/** A guest that says hello, in place of QEMU: the disk that it is given must be one. */
const STAND_IN = `#!${process.execPath}
const { execFileSync } = require('node:child_process');
const { writeSync } = require('node:fs');
const drive = process.argv.find((word) => word.includes('/proc/self/fd/') || word.includes('qcow2')) ?? '';
const fd = /\\/proc\\/self\\/fd\\/(\\d+)/.exec(drive)?.[1];
const told = execFileSync('qemu-img', ['info', '--output=json', '/proc/' + process.pid + '/fd/' + fd], { encoding: 'utf8' });
const { format } = JSON.parse(told);
const hello = { protocol: 1, version: '9', kernel: 'k', node: 'n', mptcp: format === 'qcow2', uptimeMs: 1, macs: [] };
writeSync(4, JSON.stringify({ event: 'hello', hello }) + '\\n');
require('node:fs').read(4, Buffer.alloc(99), 0, 99, null, () => process.exit(0));
`;

describe('a disk', () => {
  let disks: string;

  beforeAll(() => {
    disks = mkdtempSync(join(tmpdir(), 'weft-disks-'));
    const vmdk = (name: string, options: readonly string[]) =>
      execFileSync('qemu-img', ['create', '-q', '-f', 'vmdk', ...options, join(disks, name), '16M']);
    vmdk('sparse.vmdk', []);
    vmdk('flat.vmdk', ['-o', 'subformat=monolithicFlat']);
    execFileSync('qemu-img', [
      'convert',
      '-f',
      'vmdk',
      '-O',
      'vmdk',
      '-o',
      'subformat=streamOptimized',
      join(disks, 'sparse.vmdk'),
      join(disks, 'stream.vmdk'),
    ]);
    execFileSync('qemu-img', [
      'create',
      '-q',
      '-f',
      'vmdk',
      '-F',
      'vmdk',
      '-b',
      join(disks, 'sparse.vmdk'),
      join(disks, 'based.vmdk'),
    ]);
    writeFileSync(join(disks, 'guest.cjs'), STAND_IN, { mode: 0o755 });
    chmodSync(disks, 0o755);
  });

  afterAll(() => {
    rmSync(disks, { recursive: true });
  });

  /** An OVA with this disk in it. */
  async function ovaOf(disk: string): Promise<string> {
    const source = join(folder, 'source');
    mkdirSync(source);
    cpSync(join(disks, disk), join(source, 'disk.vmdk'));
    const data = readFileSync(join(source, 'disk.vmdk'));
    const ovf = ovfOf(['disk.vmdk'], ['disk.vmdk']);
    writeFileSync(join(source, 'x.ovf'), ovf);
    writeFileSync(
      join(source, 'x.mf'),
      `SHA256(x.ovf)= ${sha256(ovf)}\nSHA256(disk.vmdk)= ${sha256(data)}\n`,
    );
    const path = join(folder, 'disk.ova');
    // Debian's tar, so that not only our own writer is read.
    execFileSync('tar', ['--format=ustar', '-cf', path, '-C', source, 'x.ovf', 'x.mf', 'disk.vmdk']);
    return path;
  }

  it.each(['sparse.vmdk', 'stream.vmdk'])(
    'of the kind %s is taken when its guest says hello',
    async (disk) => {
      const image = await importImage(store, await ovaOf(disk), { qemu: join(disks, 'guest.cjs') });
      expect(image.manifest).toMatchObject({
        kind: 'disk',
        version: 'unknown',
        disk: { name: 'disk.qcow2' },
      });
      const told = execFileSync('qemu-img', ['info', '--output=json', join(image.folder, 'disk.qcow2')]);
      expect(JSON.parse(String(told))).toMatchObject({ format: 'qcow2', 'virtual-size': 16 << 20 });
      expect(store.current()?.digest).toBe(image.digest);
      expect(readdirSync(store.folder).filter((name) => name.startsWith('.'))).toEqual([]);
    },
  );

  it('without a guest that answers is refused, and the image in use stays', async () => {
    const good = await store.adopt(smallImage(folder, 'good'));
    const path = await ovaOf('sparse.vmdk');
    const imported = importImage(store, path, { timeoutMs: 2000 });
    await expect(imported).rejects.toMatchObject({
      code: 'BOOT',
      message: expect.stringContaining('did not answer within 2 s') as string,
    });
    expect(store.current()?.digest).toBe(good.digest);
    expect(images()).toEqual([good.digest]);
  });

  it.each([
    ['flat.vmdk', 'no sparse VMDK'],
    ['based.vmdk', 'based on another'],
  ])('that needs another file (%s) is refused', async (disk, why) => {
    await expect(importImage(store, await ovaOf(disk))).rejects.toMatchObject({
      code: 'BROKEN_IMAGE',
      message: expect.stringContaining(why) as string,
    });
    expect(store.current()).toBeUndefined();
  });
});
