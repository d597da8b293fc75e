/**
 * Builds dist/: the library modules with their declarations (tsc), then the programs and workers as bundles
 * (esbuild), so that a command loads one small file and nothing that it does not use.
 */
import { build } from 'esbuild';
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from './setup.mjs';

const src = (name) => join(root, 'src', name);
const dist = join(root, 'dist');

/** Every file `src/LAYER/NAME-worker.ts` is the entry of a worker thread and becomes dist/workers/NAME.js. */
function workerEntries() {
  const entries = {};
  for (const layer of readdirSync(src('.'))) {
    for (const file of readdirSync(src(layer))) {
      const match = /^(.+)-worker\.ts$/.exec(file);
      if (match) entries[match[1]] = src(join(layer, file));
    }
  }
  return entries;
}

const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  packages: 'external',
  legalComments: 'none',
  logLevel: 'warning',
};

rmSync(dist, { recursive: true, force: true });
run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json']);
// Splitting keeps each verb in a chunk of its own that is read only when the verb is used.
await build({
  ...common,
  entryPoints: { weft: src('cli/weft.ts'), 'ip-mptcp': src('cli/compat/ip-mptcp.ts') },
  outdir: join(dist, 'bin'),
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  banner: { js: '' },
});
const workers = workerEntries();
if (Object.keys(workers).length > 0)
  await build({ ...common, entryPoints: workers, outdir: join(dist, 'workers') });
for (const name of ['weft.js', 'ip-mptcp.js']) {
  if (existsSync(join(dist, 'bin', name))) chmodSync(join(dist, 'bin', name), 0o755);
}
