/**
 * Builds a CommonJS program whose dynamic imports are files of their own, in `parts` beside it, which share what they
 * have in common: esbuild splits modules only, so it splits, and then each part is turned into CommonJS.
 *
 * What the program loads at its start is as small as in one file: esbuild puts every file that a static import reaches
 * into the first parts, and through a layer's index.ts that is the whole layer as soon as any part uses it. So the first
 * step finds out what is really used at the start, and files of the start see the indexes without the rest.
 */
import { build } from 'esbuild';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const isIndex = (path) => path.endsWith('/index.ts');

/** `export … from '…';` of an index, with what it is from; `undefined`: the file has more than that. */
function readIndex(path) {
  const text = readFileSync(path, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const lines = [...text.matchAll(/export\s[^;]*?from\s+'([^']+)';/g)];
  if (lines.map(([line]) => line).join('').length < text.replaceAll(/\s+(?=export|$)/g, '').length)
    return undefined;
  return lines.map(([line, from]) => ({ line, target: resolve(dirname(path), from) }));
}

/** Files that have code in the program without its dynamic imports. */
async function filesAtStart(options, root) {
  const dynamicApart = {
    name: 'dynamic-apart',
    setup: ({ onResolve }) =>
      onResolve({ filter: /./ }, ({ kind, path }) =>
        kind === 'dynamic-import' ? { path, external: true } : undefined,
      ),
  };
  const { metafile } = await build({
    ...options,
    absWorkingDir: root,
    plugins: [dynamicApart],
    metafile: true,
    write: false,
  });
  const used = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs));
  return new Set(used.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => join(root, path)));
}

/** Indexes as files of the start see them. */
function narrowIndexes(atStart) {
  const narrow = (path) => {
    const lines = readIndex(path);
    return lines?.filter(({ target }) =>
      isIndex(target) ? (narrow(target)?.length ?? 1) > 0 : atStart.has(target),
    );
  };
  return {
    name: 'narrow-indexes',
    setup: ({ onLoad, onResolve }) => {
      onResolve({ filter: /\/index\.ts$/ }, ({ importer, kind, namespace, path, resolveDir }) => {
        if (kind === 'dynamic-import' || !(namespace === 'narrow' || atStart.has(importer))) return undefined;
        const target = resolve(resolveDir, path);
        return narrow(target) === undefined
          ? undefined
          : { path: target, namespace: 'narrow', sideEffects: false };
      });
      onLoad({ filter: /./, namespace: 'narrow' }, ({ path }) => ({
        contents: narrow(path)
          .map(({ line }) => line)
          .join('\n'),
        loader: 'ts',
        resolveDir: dirname(path),
      }));
    },
  };
}

/**
 * @param modules esbuild's options for a module of it, with its entry points
 * @param asCommonJs those for a CommonJS file
 */
export async function buildInParts({ asCommonJs, entryPoints, modules, outdir, root }) {
  const asModules = `${outdir}.parts`;
  const options = { ...modules, entryPoints, outdir: asModules };
  await build({
    ...options,
    plugins: [narrowIndexes(await filesAtStart(options, root))],
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
