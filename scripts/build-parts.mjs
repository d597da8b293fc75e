/**
 * Builds CommonJS programs whose dynamic imports are files of their own, in `parts` beside them, which share what they
 * have in common: esbuild splits modules only, so it splits, and then each part is turned into CommonJS. Node starts such
 * a file sooner than a module, and a program loads what it uses (direct-imports.mjs).
 */
import { build } from 'esbuild';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { directImports } from './direct-imports.mjs';

/**
 * @param modules esbuild's options for a module of it, with its entry points
 * @param asCommonJs those for a CommonJS file
 */
export async function buildInParts({ asCommonJs, entryPoints, modules, outdir }) {
  const asModules = `${outdir}.parts`;
  await build({
    ...modules,
    entryPoints,
    outdir: asModules,
    plugins: [directImports()],
    splitting: true,
    chunkNames: 'parts/[name]-[hash]',
  });
  const parts = readdirSync(asModules, { recursive: true }).filter((name) => name.endsWith('.js'));
  await build({
    ...asCommonJs,
    bundle: false,
    packages: undefined,
    define: undefined,
    entryPoints: parts.map((name) => join(asModules, name)),
    outbase: asModules,
    outdir,
    // `require` starts no module loader.
    supported: { 'dynamic-import': false },
  });
  rmSync(asModules, { recursive: true });
}
