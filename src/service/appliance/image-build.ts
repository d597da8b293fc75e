/**
 * Building an image with what this machine has: finds Weft's own package and a kernel package, fetches the latter where
 * none is given, and puts the result where it is wanted.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  buildImage,
  fetchKernelPackage,
  findKernelPackage,
  readImageFolder,
  readKernelPackage,
  type ImageFolder,
} from '../../appliance/index.ts';
import { WeftError, withFiles } from '../../base/index.ts';
import type { ImageStore } from './image-store.ts';

export interface ImageBuildOptions {
  readonly version: string;
  /** A kernel package (.deb), or a folder that has one. Default: Debian's current one, fetched by apt-get. */
  readonly kernel?: string;
  /** A new folder for the image. Default: it is taken into use. */
  readonly output?: string;
}

/** The folder of Weft's package, wherever the bundler put this file. */
function packageFolder(): string {
  for (
    let folder = dirname(fileURLToPath(import.meta.url));
    folder !== dirname(folder);
    folder = dirname(folder)
  ) {
    const path = join(folder, 'package.json');
    if (!existsSync(path)) continue;
    const { name } = JSON.parse(readFileSync(path, 'utf8')) as { readonly name?: unknown };
    if (name === 'weft') return folder;
  }
  throw new WeftError("Weft's own package was not found", { code: 'NO_PACKAGE', hint: 'install Weft again' });
}

async function kernelPackage(given: string | undefined, store: ImageStore): Promise<string> {
  if (given === undefined) return fetchKernelPackage(store.packagesFolder);
  const stat = statSync(given, { throwIfNoEntry: false });
  const path = stat?.isDirectory() === true ? findKernelPackage(given) : given;
  if (stat !== undefined && path !== undefined) return path;
  throw new WeftError(`there is no kernel package at "${given}"`, {
    code: 'NO_KERNEL',
    hint: 'name a file linux-image-VERSION-cloud-ARCHITECTURE_….deb, or a folder that has one',
  });
}

/**
 * @returns the image, in `output` or in the store
 * @throws WeftError NO_KERNEL, BAD_KERNEL, NOT_BUILT, EXISTS …
 */
export function buildApplianceImage(store: ImageStore, options: ImageBuildOptions): Promise<ImageFolder> {
  const where = options.output ?? store.folder;
  return withFiles(`build an image in "${where}"`, () => buildWhereWanted(store, options));
}

async function buildWhereWanted(
  store: ImageStore,
  { kernel, output, version }: ImageBuildOptions,
): Promise<ImageFolder> {
  const files = await readKernelPackage(await kernelPackage(kernel, store));
  const build = (folder: string) =>
    buildImage({ folder, packageFolder: packageFolder(), version, kernel: files });
  if (output !== undefined) {
    await build(output);
    return readImageFolder(output);
  }
  return store.withWorkFolder(async (work) => {
    const folder = join(work, 'image');
    await build(folder);
    return store.adopt(folder);
  });
}
