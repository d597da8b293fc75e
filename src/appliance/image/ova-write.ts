/**
 * Writes an image as one file, an OVA that `unpackOva` reads: envelope, digests, manifest and the image's files, in that
 * order. The same image makes the same bytes.
 *
 * Invariant: the file appears whole or not at all.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { verifyImageFolder, type ImageFolder } from './image-folder.ts';
import { filesOf, formatManifest, MANIFEST_FILE, type ImageFile } from './manifest.ts';
import { formatMf, formatOvf } from './ovf.ts';

const NAME = 'weft-appliance';
const MTIME = new Date('2000-01-01T00:00:00Z');
const CHUNK_BYTES = 1 << 20;

const describeText = (name: string, text: string): ImageFile => ({
  name,
  bytes: Buffer.byteLength(text),
  sha256: createHash('sha256').update(text).digest('hex'),
});

const head = (name: string, size: number) => ({ name, size, mtime: MTIME, mode: 0o644, uid: 0, gid: 0 });

function addText(archive: Pack, name: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(head(name, Buffer.byteLength(text)), text, (error) => (error ? reject(error) : resolve()));
  });
}

async function fill(archive: Pack, image: ImageFolder): Promise<void> {
  const manifest = formatManifest(image.manifest);
  const files = [describeText(MANIFEST_FILE, manifest), ...filesOf(image.manifest)];
  const ovf = formatOvf(files, image.manifest);
  await addText(archive, `${NAME}.ovf`, ovf);
  await addText(archive, `${NAME}.mf`, formatMf([describeText(`${NAME}.ovf`, ovf), ...files]));
  await addText(archive, MANIFEST_FILE, manifest);
  for (const { bytes, name } of filesOf(image.manifest)) {
    const entry = archive.entry(head(name, bytes));
    await pipeline(createReadStream(join(image.folder, name), { highWaterMark: CHUNK_BYTES }), entry);
  }
  archive.finalize();
}

/**
 * @param path replaced when it is there
 * @throws WeftError BROKEN_IMAGE when the image is not what its manifest says; the errors of the file system
 */
export async function writeOva(image: ImageFolder, path: string): Promise<void> {
  await verifyImageFolder(image);
  const work = mkdtempSync(join(dirname(path), '.weft-export-'));
  try {
    const temporary = join(work, 'image.ova');
    const archive = pack();
    const written = pipeline(archive, createWriteStream(temporary, { mode: 0o644 }));
    await Promise.all([
      written,
      fill(archive, image).catch((error: unknown) => archive.destroy(error as Error)),
    ]);
    renameSync(temporary, path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
