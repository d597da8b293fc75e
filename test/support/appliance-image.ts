/**
 * An image of the appliance for tests, made once from the kernel package that scripts/fetch-kernel.mjs brought, this
 * Node and the built Weft, and kept in node_modules/.cache until one of them changes.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  buildImage,
  findKernelPackage,
  readImageFolder,
  readKernelPackage,
  type ImageFolder,
} from '../../src/appliance/index.ts';
import { packageVersion } from '../../src/cli/version.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const KEEP_MS = 3_600_000;
const cache = join(root, 'node_modules', '.cache');

/** @throws Error that says how to get it */
export function kernelPackage(): string {
  const path = findKernelPackage(join(cache, 'weft-kernel'));
  if (path === undefined) {
    throw new Error(
      'there is no kernel package in node_modules/.cache/weft-kernel: node scripts/fetch-kernel.mjs',
    );
  }
  return path;
}

/** What goes into an image and changes from build to build. */
function inputsDigest(deb: string): string {
  const hash = createHash('sha256').update(`${deb}\n${process.version}\n`);
  for (const name of ['dist/appliance/guest.cjs', 'dist/workers/relay.js', 'package.json']) {
    hash.update(readFileSync(join(root, name)));
  }
  return hash.digest('hex').slice(0, 20);
}

/** Images of other builds, but not those that other tests may be using. */
function removeOld(images: string): void {
  if (!existsSync(images)) return;
  for (const name of readdirSync(images)) {
    const path = join(images, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && Date.now() - stat.mtimeMs > KEEP_MS)
      rmSync(path, { recursive: true, force: true });
  }
}

/** The image of the Weft in dist. Takes ten seconds the first time. */
export async function applianceImage(): Promise<ImageFolder> {
  const deb = kernelPackage();
  const images = join(cache, 'weft-image');
  const folder = join(images, inputsDigest(deb));
  if (!existsSync(folder)) {
    removeOld(images);
    mkdirSync(images, { recursive: true });
    const kernel = await readKernelPackage(deb);
    try {
      await buildImage({ folder, packageFolder: root, version: packageVersion(), kernel });
    } catch (error) {
      // Another test process was quicker.
      if (!existsSync(folder)) throw error;
    }
  }
  return readImageFolder(folder);
}
