/**
 * Makes a program of a TypeScript file, for tests that need a second process: bundled by esbuild into node_modules,
 * where the packages that it imports are found.
 */
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, stop } from 'esbuild';

/** One for each part of the tests that runs beside others (scripts/test.mjs). */
const PART = (process.env['WEFT_TEST_PART'] || 'all').replace('/', '-of-');
const FOLDER = fileURLToPath(new URL(`../../node_modules/.weft-test/${PART}/`, import.meta.url));

/** @returns the path of the program; run it with `process.execPath` */
export async function bundleTypeScript(entry: URL): Promise<string> {
  const path = fileURLToPath(entry);
  const outfile = join(FOLDER, basename(path).replace(/\.ts$/, '.mjs'));
  mkdirSync(FOLDER, { recursive: true });
  await build({
    entryPoints: [path],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    packages: 'external',
    logLevel: 'error',
  });
  // Its helper process would otherwise live as long as the tests.
  await stop();
  return outfile;
}
