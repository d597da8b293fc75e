/**
 * Builds an image: kernel, compressed initramfs and manifest in a new folder. The same inputs make the same bytes.
 *
 * Invariant: the folder appears whole or not at all; a failed build leaves nothing.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { WeftError } from '../../base/index.ts';
import { collectContents } from './contents.ts';
import { emitCpio } from './cpio.ts';
import type { KernelFiles } from './kernel-package.ts';
import {
  formatManifest,
  MANIFEST_FILE,
  MANIFEST_FORMAT,
  type ImageFile,
  type ImageManifest,
} from './manifest.ts';
import { orderModules } from './modules.ts';

export interface BuildOptions {
  /** Where the image's folder is to be; must not exist. */
  readonly folder: string;
  readonly packageFolder: string;
  readonly version: string;
  readonly kernel: KernelFiles;
  /** The Node program to put in; default is the one that runs. */
  readonly node?: string;
}

/** Enough for the unpacked file system (110 MB), Node, and buffers of some hundred connections. */
const MEMORY_MIB = 512;
/** Of gzip. Higher takes minutes and saves a twentieth. */
const COMPRESSION = 6;
/** What the compressor takes at once. */
const CHUNK_BYTES = 1 << 20;

/** Size and digest of a file. */
export async function describeFile(path: string, name: string): Promise<ImageFile> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), hash);
  return { name, bytes: statSync(path).size, sha256: hash.digest('hex') };
}

function* inChunks(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += CHUNK_BYTES) yield part.subarray(at, at + CHUNK_BYTES);
  }
}

async function writeInitramfs(path: string, parts: readonly Uint8Array[]): Promise<void> {
  // Node's gzip header carries neither time nor name.
  const gzip = createGzip({ level: COMPRESSION, chunkSize: CHUNK_BYTES });
  await pipeline(
    Readable.from(inChunks(parts), { objectMode: false }),
    gzip,
    createWriteStream(path, { mode: 0o644 }),
  );
}

/**
 * @returns the manifest, which stands in the folder too
 * @throws WeftError EXISTS, NOT_BUILT, NO_LIBRARY, BAD_MODULE …; the errors of the file system
 */
export async function buildImage(options: BuildOptions): Promise<ImageManifest> {
  const { folder, kernel, node = process.execPath, packageFolder, version } = options;
  if (statSync(folder, { throwIfNoEntry: false }) !== undefined) {
    throw new WeftError(`"${folder}" is there already`, {
      code: 'EXISTS',
      hint: 'name a folder that is not there yet, or remove it',
    });
  }
  mkdirSync(dirname(folder), { recursive: true });
  const temporary = mkdtempSync(join(dirname(folder), '.image-'));
  try {
    const entries = collectContents({
      packageFolder,
      version,
      node,
      kernelRelease: kernel.release,
      modules: orderModules(kernel.modules),
    });
    writeFileSync(join(temporary, 'vmlinuz'), kernel.kernel, { mode: 0o644 });
    await writeInitramfs(join(temporary, 'initramfs.gz'), emitCpio(entries));
    const manifest: ImageManifest = {
      format: MANIFEST_FORMAT,
      version,
      architecture: process.arch,
      kind: 'kernel',
      kernelRelease: kernel.release,
      node: process.versions.node,
      memoryMiB: MEMORY_MIB,
      kernel: await describeFile(join(temporary, 'vmlinuz'), 'vmlinuz'),
      initramfs: await describeFile(join(temporary, 'initramfs.gz'), 'initramfs.gz'),
    };
    writeFileSync(join(temporary, MANIFEST_FILE), formatManifest(manifest), { mode: 0o644 });
    renameSync(temporary, folder);
    return manifest;
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}
