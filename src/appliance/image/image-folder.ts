/**
 * An image as a folder: the manifest and the files that it names. Reads it, checks it, and copies it whole.
 *
 * Invariant: what was checked is what is used afterwards: a copy is checked while it is made, by the bytes written.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { WeftError } from '../../base/index.ts';
import {
  filesOf,
  formatManifest,
  imageDigest,
  MANIFEST_FILE,
  MANIFEST_MAX_BYTES,
  parseManifest,
  type ImageFile,
  type ImageManifest,
} from './manifest.ts';

export interface ImageFolder {
  readonly folder: string;
  readonly manifest: ImageManifest;
  /** SHA-256 of the manifest, hexadecimal. */
  readonly digest: string;
}

export const brokenImage = (where: string, why: string) =>
  new WeftError(`"${where}" is no sound image: ${why}`, {
    code: 'BROKEN_IMAGE',
    hint: 'fetch it again, or build one with "weft appliance build"',
  });

/** A plain file of that size, nothing that could be read for ever. */
function requirePlainFile(path: string, maxBytes: number): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw brokenImage(path, 'it is missing');
  if (!stat.isFile()) throw brokenImage(path, 'it is no plain file');
  if (stat.size > maxBytes) throw brokenImage(path, `it is larger than ${maxBytes} bytes`);
  return stat.size;
}

/**
 * Reads the manifest and looks whether its files are there with their sizes; not yet what is in them.
 * @throws WeftError BROKEN_IMAGE
 */
export function readImageFolder(folder: string): ImageFolder {
  const path = join(folder, MANIFEST_FILE);
  requirePlainFile(path, MANIFEST_MAX_BYTES);
  const manifest = parseManifest(readFileSync(path, 'utf8'));
  if (typeof manifest === 'string') throw brokenImage(path, manifest);
  for (const { bytes, name } of filesOf(manifest)) {
    const size = requirePlainFile(join(folder, name), bytes);
    if (size !== bytes) throw brokenImage(join(folder, name), `it has ${size} bytes, not ${bytes}`);
  }
  return { folder, manifest, digest: imageDigest(manifest) };
}

/** A stream that passes on what it gets and knows its digest; fails beyond `maxBytes`. */
export function measuring(maxBytes: number, where: string) {
  const hash = createHash('sha256');
  let bytes = 0;
  const stream = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        done(brokenImage(where, `it is larger than ${maxBytes} bytes`));
        return;
      }
      hash.update(chunk);
      done(null, chunk);
    },
  });
  return { stream, measured: () => ({ bytes, sha256: hash.digest('hex') }) };
}

function requireSame(where: string, wanted: ImageFile, found: Omit<ImageFile, 'name'>): void {
  if (found.bytes !== wanted.bytes) {
    throw brokenImage(where, `it has ${found.bytes} bytes, not ${wanted.bytes}`);
  }
  if (found.sha256 !== wanted.sha256) {
    throw brokenImage(where, `its SHA-256 is ${found.sha256}, not ${wanted.sha256}`);
  }
}

const CHUNK_BYTES = 1 << 20;

/** Checks the digest of every file. @throws WeftError BROKEN_IMAGE */
export async function verifyImageFolder({ folder, manifest }: ImageFolder): Promise<void> {
  for (const file of filesOf(manifest)) {
    const path = join(folder, file.name);
    const { stream, measured } = measuring(file.bytes, path);
    await pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), stream.resume());
    requireSame(path, file, measured());
  }
}

/**
 * Copies an image into a folder that is there and empty, and checks what was written.
 * @throws WeftError BROKEN_IMAGE; the folder then holds a part, which its maker removes
 */
export async function copyImageFolder(image: ImageFolder, folder: string): Promise<ImageFolder> {
  for (const file of filesOf(image.manifest)) {
    const path = join(image.folder, file.name);
    const { stream, measured } = measuring(file.bytes, path);
    await pipeline(
      createReadStream(path, { highWaterMark: CHUNK_BYTES }),
      stream,
      createWriteStream(join(folder, file.name), { flags: 'wx', mode: 0o644 }),
    );
    requireSame(path, file, measured());
  }
  writeFileSync(join(folder, MANIFEST_FILE), formatManifest(image.manifest), { flag: 'wx', mode: 0o644 });
  return { ...image, folder };
}
