/** The version and the files of this package, from where its package.json is, wherever the bundler put this file. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Manifest {
  readonly name?: unknown;
  readonly version?: unknown;
}

function findPackage(): { readonly folder: string; readonly version: string } | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
      if (manifest.name === 'weft' && typeof manifest.version === 'string')
        return { folder, version: manifest.version };
    } catch {
      // Not here; one folder up.
    }
    const parent = dirname(folder);
    if (parent === folder) return undefined;
    folder = parent;
  }
}

export const packageVersion = (): string => findPackage()?.version ?? 'of unknown version';

/** The path of a file of the package. */
export const packageFile = (...names: readonly string[]): string =>
  join(findPackage()?.folder ?? '/', ...names);
