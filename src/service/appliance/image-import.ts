/**
 * Takes an image that was made elsewhere: a folder as `weft appliance build --output` makes it, an OVA as
 * `weft appliance export` writes it, or an OVA with one VMDK disk, in which a guest speaks the agent's language.
 *
 * Invariant: the image in use stays until the new one was checked and, where a trial is wanted, has come up.
 */
import { statSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  brokenImage,
  chooseUser,
  convertVmdk,
  describeFile,
  formatManifest,
  MANIFEST_FILE,
  MANIFEST_FORMAT,
  readUserFacts,
  tryImage,
  unpackOva,
  writeOva,
  type ImageFolder,
  type ImageManifest,
  type OvfEnvelope,
} from '../../appliance/index.ts';
import { WeftError, withFiles } from '../../base/index.ts';
import { bootSourceOf } from './image-boot.ts';
import { buildApplianceImage, type ImageBuildOptions } from './image-build.ts';
import type { ImageStore } from './image-store.ts';

/** Under plain emulation on a busy machine a boot takes ten seconds. */
const TRIAL_TIMEOUT_MS = 120_000;
const DEFAULT_QEMU = process.arch === 'arm64' ? 'qemu-system-aarch64' : 'qemu-system-x86_64';
/** Of a foreign disk, which does not say. */
const DISK_MEMORY_MIB = 512;
const DISK_FILE = 'disk.qcow2';

export interface TrialChoice {
  /** QEMU's name or path. */
  readonly qemu?: string;
  readonly timeoutMs?: number;
}

/** Boots an image once. @throws WeftError NO_QEMU, BOOT, NO_MPTCP, BROKEN_IMAGE */
export async function tryStoredImage(image: ImageFolder, choice: TrialChoice = {}): Promise<void> {
  await tryImage({
    program: choice.qemu ?? DEFAULT_QEMU,
    boot: bootSourceOf(image),
    memoryMiB: image.manifest.memoryMiB,
    timeoutMs: choice.timeoutMs ?? TRIAL_TIMEOUT_MS,
  });
}

async function makeDiskImage(ova: OvfEnvelope, folder: string, path: string): Promise<void> {
  const [disk, ...more] = ova.disks;
  if (disk === undefined) throw brokenImage(path, 'it has neither a manifest.json nor a disk');
  if (more.length > 0) throw brokenImage(path, `it has ${ova.disks.length} disks, and one is supported`);
  const { gid, uid } = chooseUser(readUserFacts());
  await convertVmdk(join(folder, disk), join(folder, DISK_FILE), {
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  const manifest: ImageManifest = {
    format: MANIFEST_FORMAT,
    version: ova.version ?? 'unknown',
    architecture: process.arch,
    kind: 'disk',
    memoryMiB: DISK_MEMORY_MIB,
    disk: await describeFile(join(folder, DISK_FILE), DISK_FILE),
  };
  writeFileSync(join(folder, MANIFEST_FILE), formatManifest(manifest), { mode: 0o644 });
}

export interface ImportOptions extends TrialChoice {
  /** Boot it before it is taken into use. A disk always is, because nothing else tells what is on it. */
  readonly trial?: boolean;
}

/**
 * @param path a folder or an OVA
 * @returns the image, which is in use then
 * @throws WeftError NO_FILE, BROKEN_IMAGE, WRONG_MACHINE, STORE_BUSY, NO_QEMU_IMG, and those of the trial
 */
export async function importImage(
  store: ImageStore,
  path: string,
  options: ImportOptions = {},
): Promise<ImageFolder> {
  const stat = await withFiles(`read "${path}"`, () => statSync(path, { throwIfNoEntry: false }));
  if (stat === undefined) {
    throw new WeftError(`there is no "${path}"`, {
      code: 'NO_FILE',
      hint: 'name an OVA file or the folder of an image',
    });
  }
  const check = async (image: ImageFolder) => {
    if (options.trial === true || image.manifest.kind === 'disk') await tryStoredImage(image, options);
  };
  return withFiles(`take "${path}" into "${store.folder}"`, () => {
    if (stat.isDirectory()) return store.adopt(path, check);
    return store.withWorkFolder(async (work) => {
      const folder = join(work, 'ova');
      mkdirSync(folder);
      const ova = await unpackOva(path, folder);
      if (!ova.files.some(({ name }) => name === MANIFEST_FILE)) await makeDiskImage(ova, folder, path);
      return store.adopt(folder, check);
    });
  });
}

/** Writes the image in use as one file. @throws WeftError NO_IMAGE, BROKEN_IMAGE, and codes of the file system */
export async function exportImage(store: ImageStore, path: string): Promise<ImageFolder> {
  const image = store.current();
  if (image === undefined) {
    throw new WeftError(`there is no image in "${store.folder}"`, {
      code: 'NO_IMAGE',
      hint: 'make one with "weft appliance build", or take one with "weft appliance import FILE"',
    });
  }
  await withFiles(`write "${path}"`, () => writeOva(image, path), 'name a file in a folder with room for it');
  return image;
}

export interface UpgradeOptions extends TrialChoice, Pick<ImageBuildOptions, 'kernel' | 'version'> {
  /** A folder or an OVA; absent: an image is built. */
  readonly file?: string;
}

/**
 * Takes a newer image into use when it comes up.
 * @throws WeftError what building, importing and the trial throw; the image in use stays then
 */
export async function upgradeImage(store: ImageStore, options: UpgradeOptions): Promise<ImageFolder> {
  const { file, kernel, version, ...choice } = options;
  if (file !== undefined) return importImage(store, file, { ...choice, trial: true });
  return store.withWorkFolder(async (work) => {
    const output = join(work, 'image');
    await buildApplianceImage(store, { version, output, ...(kernel === undefined ? {} : { kernel }) });
    return store.adopt(output, (image) => tryStoredImage(image, choice));
  });
}
