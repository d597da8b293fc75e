/** Images of the appliance: built from a kernel package, and kept. Given away and taken: appliance-archive.test.ts. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
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
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  buildImage,
  formatManifest,
  orderModules,
  readImageFolder,
  readKernelPackage,
  type ImageFolder,
} from '../src/appliance/index.ts';
import { packageVersion } from '../src/cli/version.ts';
import { FileLock } from '../src/native/index.ts';
import { ImageStore, importImage, upgradeImage } from '../src/service/index.ts';
import { applianceImage, kernelPackage, root } from './support/appliance-image.ts';
import { moduleOf } from './support/kernel-module.ts';
import { sha256, smallImage } from './support/small-image.ts';

const BUILD_TIMEOUT_MS = 120_000;

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
      const broken = smallImage(folder, 'broken');
      copyFileSync(join(image.folder, 'vmlinuz'), join(broken, 'vmlinuz'));
      const data = readFileSync(join(broken, 'vmlinuz'));
      const manifest = {
        ...image.manifest,
        kernel: { name: 'vmlinuz', bytes: data.length, sha256: sha256(data) },
        initramfs: readImageFolder(smallImage(folder, 'other')).manifest.initramfs!,
      };
      writeFileSync(join(broken, 'initramfs.gz'), 'initramfs other');
      writeFileSync(join(broken, 'manifest.json'), formatManifest(manifest));
      const good = await store.adopt(smallImage(folder, 'good'));
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
      await store.adopt(smallImage(folder, 'one')),
      await store.adopt(smallImage(folder, 'two')),
      await store.adopt(smallImage(folder, 'three')),
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
    const good = await store.adopt(smallImage(folder, 'good'));
    const bad = smallImage(folder, 'bad');
    damage(bad);
    await expect(importImage(store, bad)).rejects.toMatchObject({ code: 'BROKEN_IMAGE' });
    expect(store.current()?.digest).toBe(good.digest);
    expect(store.previous()).toBeUndefined();
    expect(images()).toEqual([good.digest]);
  });

  it('refuses one for another machine, and says that there is none before', async () => {
    await expect(
      store.adopt(smallImage(folder, 'arm', 'arm', { architecture: 'mips' })),
    ).rejects.toMatchObject({
      code: 'WRONG_MACHINE',
    });
    await expect(store.rollBack()).rejects.toMatchObject({ code: 'NO_PREVIOUS' });
    await expect(importImage(store, join(folder, 'none'))).rejects.toMatchObject({ code: 'NO_FILE' });
  });

  it('makes one good that was damaged where it lies, and does not go back to a damaged one', async () => {
    const one = await store.adopt(smallImage(folder, 'one'));
    writeFileSync(join(one.folder, 'vmlinuz'), 'kernel oxe');
    await store.adopt(join(folder, 'one'));
    expect(readFileSync(join(one.folder, 'vmlinuz'), 'utf8')).toBe('kernel one');
    const two = await store.adopt(smallImage(folder, 'two'));
    writeFileSync(join(one.folder, 'vmlinuz'), 'kernel oxe');
    await expect(store.rollBack()).rejects.toMatchObject({ code: 'BROKEN_IMAGE' });
    expect(store.current()?.digest).toBe(two.digest);
  });

  it('a damaged one is no obstacle to the next: import and upgrade --back repair it', async () => {
    const before = await store.adopt(smallImage(folder, 'before'));
    const one = await store.adopt(smallImage(folder, 'one'));
    rmSync(join(one.folder, 'manifest.json'));
    const weft = (program: string, ...args: string[]) =>
      execFileSync(process.execPath, [join(root, 'dist', 'bin', program), ...args], {
        encoding: 'utf8',
        env: { ...process.env, WEFT_APPLIANCE_DIR: store.folder },
      });
    expect(weft('weft.js', 'appliance', 'upgrade', '--back')).toContain('taken into use');
    expect(store.current()?.digest).toBe(before.digest);
    rmSync(join(before.folder, 'manifest.json'));
    const first = weft('mptcpctl.js', 'import', smallImage(folder, 'two'));
    expect(first).toMatch(
      /^\[global\] Virtual machine exists -> kept as the one before\n\[global\] imported/,
    );
    // The same again: nothing is put aside for it.
    expect(weft('mptcpctl.js', 'import', join(folder, 'two'))).not.toContain('kept');
  });

  it('clears away what a killed process left, and waits for no one', async () => {
    await store.adopt(smallImage(folder, 'one'));
    const dead = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).trim();
    for (const left of ['images/.new-abc', `.work-${dead}-abc`, `.work-${process.pid}-abc`]) {
      mkdirSync(join(store.folder, left));
    }
    symlinkSync('images/none', join(store.folder, '.new-current'));
    await store.adopt(smallImage(folder, 'two'));
    expect(images()).toHaveLength(2);
    expect(readdirSync(store.folder).filter((name) => name.startsWith('.'))).toEqual([
      `.work-${process.pid}-abc`,
    ]);
    const lock = FileLock.tryTake(join(store.folder, 'store.lock'));
    await expect(store.adopt(smallImage(folder, 'three'))).rejects.toMatchObject({ code: 'STORE_BUSY' });
    lock?.release();
    await store.adopt(join(folder, 'three'));
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
