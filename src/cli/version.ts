/** The version of this package, from its package.json, wherever the bundler put this file. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Manifest {
  readonly name?: unknown;
  readonly version?: unknown;
}

export function packageVersion(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
      if (manifest.name === 'weft' && typeof manifest.version === 'string') return manifest.version;
    } catch {
      // Not here; one folder up.
    }
    const parent = dirname(folder);
    if (parent === folder) return 'of unknown version';
    folder = parent;
  }
}
