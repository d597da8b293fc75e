/**
 * Images of the appliance: built from a kernel package, kept, given away and taken, with everything that can be wrong
 * with what a stranger gives.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack, type Headers } from 'tar-stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  buildImage,
  formatManifest,
  orderModules,
  readImageFolder,
  readKernelPackage,
  type ImageFolder,
  type ImageManifest,
} from '../src/appliance/index.ts';
import { packageVersion } from '../src/cli/version.ts';
import { FileLock } from '../src/native/index.ts';
import { exportImage, ImageStore, importImage, upgradeImage } from '../src/service/index.ts';
import { applianceImage, kernelPackage, root } from './support/appliance-image.ts';
import { moduleOf } from './support/kernel-module.ts';

const BUILD_TIMEOUT_MS = 120_000;
const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');

let folder: string;
let store: ImageStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-image-'));
  store = new ImageStore(join(folder, 'store'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** An image that cannot boot, which is enough for all that does not boot it. */
function smallImage(name: string, text = name, change: Partial<ImageManifest> = {}): string {
  const path = join(folder, name);
  mkdirSync(path);
  const file = (fileName: string, data: string) => {
    writeFileSync(join(path, fileName), data);
    return { name: fileName, bytes: Buffer.byteLength(data), sha256: sha256(data) };
  };
  const manifest: ImageManifest = {
    format: 1,
    version: '0.1.0',
    architecture: process.arch,
    kind: 'kernel',
    memoryMiB: 128,
    kernel: file('vmlinuz', `kernel ${text}`),
    initramfs: file('initramfs.gz', `initramfs ${text}`),
    ...change,
  };
  writeFileSync(join(path, 'manifest.json'), formatManifest(manifest));
  return path;
}

const images = () => readdirSync(join(store.folder, 'images'));

describe('built', () => {
  let image: ImageFolder;

  beforeAll(async () => {
    image = await applianceImage();
  }, BUILD_TIMEOUT_MS);

  it(
    'twice: the same bytes, and in it what it says',
    async () => {
      const again = join(folder, 'again');
      const kernel = await readKernelPackage(kernelPackage());
      await buildImage({ folder: again, packageFolder: root, version: packageVersion(), kernel });
      expect(readFileSync(join(again, 'manifest.json'), 'utf8')).toBe(
        readFileSync(join(image.folder, 'manifest.json'), 'utf8'),
      );
      expect(readImageFolder(again).digest).toBe(image.digest);
      for (const name of ['vmlinuz', 'initramfs.gz']) {
        expect(readFileSync(join(again, name)).equals(readFileSync(join(image.folder, name)))).toBe(true);
      }
      const { kernelRelease, kind, node } = image.manifest;
      expect({ kind, kernelRelease, node }).toEqual({
        kind: 'kernel',
        kernelRelease: expect.stringMatching(/^6\.\d+\.\d+-.*cloud/) as string,
        node: process.versions.node,
      });
      await expect(
        buildImage({ folder: again, packageFolder: root, version: '1', kernel }),
      ).rejects.toMatchObject({ code: 'EXISTS' });
      expect(readdirSync(folder)).toEqual(['again']);
    },
    BUILD_TIMEOUT_MS,
  );

  it('leaves nothing when it fails', async () => {
    const kernel = {
      release: '1',
      kernel: new Uint8Array(1),
      modules: [{ path: 'kernel/virtio_net.ko', data: new Uint8Array(9) }],
    };
    const build = buildImage({ folder: join(folder, 'x'), packageFolder: root, version: '1', kernel });
    await expect(build).rejects.toMatchObject({ code: 'BAD_MODULE' });
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ['as they are', 'lib/modules'],
    ['compressed, in /usr, as in Debian 13', 'usr/lib/modules'],
  ])('takes modules %s', async (_what, place) => {
    const tree = join(folder, 'tree');
    const compressed = place.startsWith('usr');
    const modules = {
      'virtio-rng': moduleOf(['depends=virtio']),
      virtio: moduleOf([]),
      unused: Buffer.from('rubbish'),
    };
    mkdirSync(join(tree, place, '9.9', 'kernel', 'drivers'), { recursive: true });
    for (const [name, data] of Object.entries(modules)) {
      const path = join(tree, place, '9.9', 'kernel', 'drivers', `${name}.ko`);
      writeFileSync(path, data);
      if (compressed && name !== 'unused') execFileSync('xz', [path]);
    }
    mkdirSync(join(tree, 'boot'));
    writeFileSync(join(tree, 'boot', 'vmlinuz-9.9'), 'kernel');
    mkdirSync(join(tree, 'DEBIAN'));
    const control =
      'Package: linux-image-9.9\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n';
    writeFileSync(join(tree, 'DEBIAN', 'control'), control);
    const deb = join(folder, 'kernel.deb');
    execFileSync('dpkg-deb', ['--build', '--root-owner-group', '-Zgzip', tree, deb], { stdio: 'pipe' });
    const kernel = await readKernelPackage(deb);
    expect(kernel).toMatchObject({ release: '9.9', kernel: Buffer.from('kernel') });
    const ordered = orderModules(kernel.modules);
    expect(ordered.map(({ path }) => path)).toEqual([
      'kernel/drivers/virtio.ko',
      'kernel/drivers/virtio-rng.ko',
    ]);
    expect(Buffer.from(ordered[0]!.data).equals(modules.virtio)).toBe(true);
  });

  it('is not built of what is no kernel package', async () => {
    writeFileSync(join(folder, 'x.deb'), 'no package');
    await expect(readKernelPackage(join(folder, 'x.deb'))).rejects.toMatchObject({ code: 'BAD_KERNEL' });
    await expect(readKernelPackage(join(folder, 'none.deb'))).rejects.toMatchObject({ code: 'BAD_KERNEL' });
  });

  it(
    'is tried before it takes the place of the one in use; one that does not come up changes nothing',
    async () => {
      const broken = smallImage('broken');
      copyFileSync(join(image.folder, 'vmlinuz'), join(broken, 'vmlinuz'));
      const data = readFileSync(join(broken, 'vmlinuz'));
      const manifest = {
        ...image.manifest,
        kernel: { name: 'vmlinuz', bytes: data.length, sha256: sha256(data) },
        initramfs: readImageFolder(smallImage('other')).manifest.initramfs!,
      };
      writeFileSync(join(broken, 'initramfs.gz'), 'initramfs other');
      writeFileSync(join(broken, 'manifest.json'), formatManifest(manifest));
      const good = await store.adopt(smallImage('good'));
      await expect(upgradeImage(store, { version: '0.1.0', file: broken })).rejects.toMatchObject({
        code: 'BOOT',
        message: expect.stringContaining('does not come up') as string,
      });
      expect(store.current()?.digest).toBe(good.digest);
      expect(images()).toEqual([good.digest]);

      await upgradeImage(store, { version: '0.1.0', file: image.folder });
      expect(store.current()?.digest).toBe(image.digest);
      expect(store.previous()?.digest).toBe(good.digest);
    },
    BUILD_TIMEOUT_MS,
  );
});

describe('kept', () => {
  it('has one in use and the one before, and no more', async () => {
    expect(store.current()).toBeUndefined();
    const [one, two, three] = [
      await store.adopt(smallImage('one')),
      await store.adopt(smallImage('two')),
      await store.adopt(smallImage('three')),
    ];
    expect(store.current()?.digest).toBe(three.digest);
    expect(store.previous()?.digest).toBe(two.digest);
    expect(images().sort()).toEqual([two.digest, three.digest].sort());
    await store.rollBack();
    expect(store.current()?.digest).toBe(two.digest);
    expect(store.previous()?.digest).toBe(three.digest);
    // Again: nothing changes.
    await store.adopt(join(folder, 'two'));
    expect(store.previous()?.digest).toBe(three.digest);
    expect(one.digest).not.toBe(two.digest);
    expect(statSync(store.current()!.folder).mode & 0o777).toBe(0o755);
  });

  it.each([
    ['a changed byte', (path: string) => writeFileSync(join(path, 'vmlinuz'), 'kernel bax')],
    ['a file that is cut off', (path: string) => truncateSync(join(path, 'initramfs.gz'), 3)],
    ['a missing file', (path: string) => rmSync(join(path, 'initramfs.gz'))],
    ['a missing manifest', (path: string) => rmSync(join(path, 'manifest.json'))],
    ['a manifest that is none', (path: string) => writeFileSync(join(path, 'manifest.json'), '{}')],
    [
      'a link in place of a file',
      (path: string) => {
        rmSync(join(path, 'vmlinuz'));
        symlinkSync('/etc/passwd', join(path, 'vmlinuz'));
      },
    ],
  ])('refuses an image with %s; the one in use stays', async (_what, damage) => {
    const good = await store.adopt(smallImage('good'));
    const bad = smallImage('bad');
    damage(bad);
    await expect(importImage(store, bad)).rejects.toMatchObject({ code: 'BROKEN_IMAGE' });
    expect(store.current()?.digest).toBe(good.digest);
    expect(store.previous()).toBeUndefined();
    expect(images()).toEqual([good.digest]);
  });

  it('refuses one for another machine, and says that there is none before', async () => {
    await expect(store.adopt(smallImage('arm', 'arm', { architecture: 'mips' }))).rejects.toMatchObject({
      code: 'WRONG_MACHINE',
    });
    await expect(store.rollBack()).rejects.toMatchObject({ code: 'NO_PREVIOUS' });
    await expect(importImage(store, join(folder, 'none'))).rejects.toMatchObject({ code: 'NO_FILE' });
  });

  it('makes one good that was damaged where it lies, and does not go back to a damaged one', async () => {
    const one = await store.adopt(smallImage('one'));
    writeFileSync(join(one.folder, 'vmlinuz'), 'kernel oxe');
    await store.adopt(join(folder, 'one'));
    expect(readFileSync(join(one.folder, 'vmlinuz'), 'utf8')).toBe('kernel one');
    const two = await store.adopt(smallImage('two'));
    writeFileSync(join(one.folder, 'vmlinuz'), 'kernel oxe');
    await expect(store.rollBack()).rejects.toMatchObject({ code: 'BROKEN_IMAGE' });
    expect(store.current()?.digest).toBe(two.digest);
  });

  it('a damaged one is no obstacle to the next: import and upgrade --back repair it', async () => {
    const before = await store.adopt(smallImage('before'));
    const one = await store.adopt(smallImage('one'));
    rmSync(join(one.folder, 'manifest.json'));
    const weft = (program: string, ...args: string[]) =>
      execFileSync(process.execPath, [join(root, 'dist', 'bin', program), ...args], {
        encoding: 'utf8',
        env: { ...process.env, WEFT_APPLIANCE_DIR: store.folder },
      });
    expect(weft('weft.js', 'appliance', 'upgrade', '--back')).toContain('taken into use');
    expect(store.current()?.digest).toBe(before.digest);
    rmSync(join(before.folder, 'manifest.json'));
    const first = weft('mptcpctl.js', 'import', smallImage('two'));
    expect(first).toMatch(
      /^\[global\] Virtual machine exists -> kept as the one before\n\[global\] imported/,
    );
    // The same again: nothing is put aside for it.
    expect(weft('mptcpctl.js', 'import', join(folder, 'two'))).not.toContain('kept');
  });

  it('clears away what a killed process left, and waits for no one', async () => {
    await store.adopt(smallImage('one'));
    const dead = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).trim();
    for (const left of ['images/.new-abc', `.work-${dead}-abc`, `.work-${process.pid}-abc`]) {
      mkdirSync(join(store.folder, left));
    }
    symlinkSync('images/none', join(store.folder, '.new-current'));
    await store.adopt(smallImage('two'));
    expect(images()).toHaveLength(2);
    expect(readdirSync(store.folder).filter((name) => name.startsWith('.'))).toEqual([
      `.work-${process.pid}-abc`,
    ]);
    const lock = FileLock.tryTake(join(store.folder, 'store.lock'));
    await expect(store.adopt(smallImage('three'))).rejects.toMatchObject({ code: 'STORE_BUSY' });
    lock?.release();
    await store.adopt(join(folder, 'three'));
  });
});

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
    const image = await store.adopt(smallImage('one'));
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
    await store.adopt(smallImage('good'));
    await expect(exportImage(store, folder)).rejects.toMatchObject({
      code: 'EISDIR',
      message: expect.stringContaining(`write "${folder}": illegal operation on a directory (EISDIR) — `),
    });
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('.weft-export-'))).toEqual([]);
  });

  it('is not given away when it is damaged, or when there is none', async () => {
    const path = join(folder, 'x.ova');
    await expect(exportImage(store, path)).rejects.toMatchObject({ code: 'NO_IMAGE' });
    const image = await store.adopt(smallImage('one'));
    writeFileSync(join(image.folder, 'vmlinuz'), 'kernel oxe');
    await expect(exportImage(store, path)).rejects.toMatchObject({ code: 'BROKEN_IMAGE' });
    expect(existsSync(path)).toBe(false);
  });

  it('is refused at every changed byte that counts', async () => {
    await store.adopt(smallImage('one'));
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
    const good = await store.adopt(smallImage('good'));
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

it('docs/appliance.md has every code that goes with images', () => {
  const folders = ['src/appliance/image', 'src/service/appliance'].map((name) => join(root, name));
  const files = folders.flatMap((where) =>
    readdirSync(where)
      .filter((name) => /^(?!.*\.test\.ts$).+\.ts$/.test(name))
      .filter((name) => where.endsWith('image') || name.startsWith('image-'))
      .map((name) => join(where, name)),
  );
  const thrown = files.flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/code: '([A-Z_]+)'/g)].map(([, code]) => code),
  );
  expect(new Set(thrown).size).toBeGreaterThan(12);
  const documented = [...readFileSync(join(root, 'docs/appliance.md'), 'utf8').matchAll(/`([A-Z_]+)`/g)];
  expect(documented.map(([, code]) => code)).toEqual(expect.arrayContaining(thrown));
});
