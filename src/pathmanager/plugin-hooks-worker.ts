/**
 * How modules are found and read in a plugin's thread (dist/workers/plugin-hooks.js, run by Node as module hooks):
 * `weft/plugin` is this package's, wherever the plugin's file lies; TypeScript is read by Node itself where it can
 * (22.18 or newer), otherwise by esbuild where that is installed beside the plugin or beside Weft.
 *
 * References: https://nodejs.org/api/module.html#customization-hooks.
 */
import { readFileSync } from 'node:fs';
import { createRequire, type LoadHook, type ResolveHook } from 'node:module';
import { fileURLToPath } from 'node:url';

const PLUGIN_MODULE = new URL('../pathmanager/plugin.js', import.meta.url).href;

export const resolve: ResolveHook = (specifier, context, next) =>
  specifier === 'weft/plugin'
    ? { url: PLUGIN_MODULE, format: 'module', shortCircuit: true }
    : next(specifier, context);

interface Transformer {
  transformSync(source: string, options: object): { readonly code: string };
}

function findTransformer(path: string): Transformer {
  for (const from of [path, import.meta.url]) {
    try {
      return createRequire(from)('esbuild') as Transformer;
    } catch {
      // Looked for at the next place.
    }
  }
  throw new Error(
    `this Node.js (${process.version}) does not read TypeScript — compile the plugin to JavaScript, install esbuild beside it, or use Node.js 22.18 or newer`,
  );
}

const readsTypeScript = () => Boolean((process.features as { readonly typescript?: unknown }).typescript);

export const load: LoadHook = (url, context, next) => {
  if (!url.startsWith('file:') || !/\.m?ts$/.test(url) || readsTypeScript()) return next(url, context);
  const path = fileURLToPath(url);
  const { code } = findTransformer(path).transformSync(readFileSync(path, 'utf8'), {
    loader: 'ts',
    format: 'esm',
    target: 'node20',
    sourcefile: path,
    sourcemap: 'inline',
  });
  return { format: 'module', source: code, shortCircuit: true };
};
