/**
 * An esbuild plugin for programs in parts: what a file imports through a layer's index.ts, it imports from the file that
 * has it. esbuild decides by whole files which part they belong to, and to it, who imports an index imports the layer;
 * so each verb of `weft` would load all of Weft.
 *
 * What cannot be read here stays as it is. Sources: indexes of re-exports only, `import { … } from '…/index.ts'`.
 */
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';

const isIndex = (path) => path.endsWith('/index.ts');
const withoutComments = (text) => text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

/** `a, type B, c as d` without the types: what is taken, and what it is called here. */
function readNames(list) {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '' && !item.startsWith('type '))
    .map((item) => {
      const [name, alias = name] = item.split(/\s+as\s+/);
      return { name, alias };
    });
}

/** Names of values that a file that is no index declares for others. */
function declaredNames(path) {
  const text = withoutComments(readFileSync(path, 'utf8'));
  const declared = text.matchAll(
    /^export\s+(?:abstract\s+)?(?:async\s+)?(?:function\*?|class|const|let)\s+([\w$]+)/gm,
  );
  return [...declared].map(([, name]) => name);
}

/** Everything of value that a file offers, by name: the file that has it, and its name there. */
function readOffers(path, known) {
  const cached = known.get(path);
  if (cached !== undefined) return cached;
  const offers = new Map();
  known.set(path, offers);
  for (const name of declaredNames(path)) offers.set(name, { file: path, name });
  const text = withoutComments(readFileSync(path, 'utf8'));
  for (const [, what, from] of text.matchAll(/^export\s+(\*|\{[^}]*\})\s+from\s+'(\.[^']+)';/gm)) {
    const target = readOffers(resolve(dirname(path), from), known);
    const taken =
      what === '*' ? [...target.keys()].map((name) => ({ name, alias: name })) : readNames(what.slice(1, -1));
    for (const { alias, name } of taken) if (target.has(name)) offers.set(alias, target.get(name));
  }
  return offers;
}

/** A file's text with direct imports. */
function direct(path, known) {
  const text = readFileSync(path, 'utf8');
  return text.replaceAll(/^import\s+\{([^}]*)\}\s+from\s+'(\.[^']*\/index\.ts)';/gm, (line, list, from) => {
    const index = resolve(dirname(path), from);
    const offers = readOffers(index, known);
    const names = readNames(list);
    // esbuild says it better.
    if (names.some(({ name }) => !offers.has(name))) return line;
    return names
      .map(({ alias, name }) => {
        const offer = offers.get(name);
        const file = relative(dirname(path), offer.file);
        const asked = offer.name === alias ? alias : `${offer.name} as ${alias}`;
        return `import { ${asked} } from '${file.startsWith('.') ? file : `./${file}`}';`;
      })
      .join(' ');
  });
}

export function directImports() {
  return {
    name: 'direct-imports',
    setup: ({ onLoad, onStart }) => {
      const known = new Map();
      onStart(() => known.clear());
      onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) =>
        isIndex(path) ? undefined : { contents: direct(path, known), loader: 'ts' },
      );
    },
  };
}
