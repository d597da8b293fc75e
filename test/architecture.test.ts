/**
 * The house's own rules, held against the source: imports point down, one layer imports koffi, nothing goes through
 * a shell, pure files stay pure.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const src = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src');

/** From the top down; layers on one line never import one another. */
const LAYERS: readonly (readonly string[])[] = [
  ['cli'],
  ['lab'],
  ['web'],
  ['service'],
  ['pathmanager', 'routing', 'proxy', 'tunnel', 'appliance', 'register'],
  ['mptcp'],
  ['netlink'],
  ['native'],
  ['base'],
];

const heightOf = (layer: string) => LAYERS.length - LAYERS.findIndex((names) => names.includes(layer));

interface SourceFile {
  readonly path: string;
  readonly layer: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function readSources(): SourceFile[] {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' });
  return files
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
    .map((path) => {
      const text = readFileSync(join(src, path), 'utf8');
      const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);
      return { path, layer: path.split('/')[0]!, text, imports };
    });
}

const sources = readSources();

it('sees the whole source tree', () => {
  expect(sources.length).toBeGreaterThan(60);
  const layers = new Set(sources.map((file) => file.layer));
  for (const layer of [
    'base',
    'native',
    'netlink',
    'mptcp',
    'routing',
    'pathmanager',
    'proxy',
    'tunnel',
    'register',
    'service',
    'web',
    'cli',
    'lab',
  ]) {
    expect(layers).toContain(layer);
  }
  for (const layer of layers) expect(LAYERS.flat(), `layer ${layer}`).toContain(layer);
});

it('imports point down, and layers of one height do not import one another', () => {
  const wrong: string[] = [];
  for (const file of sources) {
    for (const target of file.imports.filter((name) => name.startsWith('.'))) {
      const layer = relative(src, join(src, dirname(file.path), target)).split('/')[0]!;
      if (layer === file.layer) continue;
      if (heightOf(layer) >= heightOf(file.layer)) wrong.push(`${file.path} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

it('nothing below cli imports the lab', () => {
  const wrong = sources.filter(
    (file) => !['cli', 'lab'].includes(file.layer) && file.imports.some((i) => i.includes('/lab/')),
  );
  expect(wrong.map((file) => file.path)).toEqual([]);
});

it('only native/libc.ts imports koffi', () => {
  const users = sources.filter((file) => /['"]koffi['"]/.test(file.text)).map((file) => file.path);
  expect(users).toEqual(['native/libc.ts']);
});

it('nothing below service knows the logger, the HTTP framework or the command line parser', () => {
  const upper = new Set(['service', 'web', 'cli', 'lab']);
  const wrong = sources.filter(
    (file) =>
      !upper.has(file.layer) &&
      file.imports.some((name) => /^(pino|fastify|commander|prom-client)/.test(name)),
  );
  expect(wrong.map((file) => file.path)).toEqual([]);
});

it.each([
  ['the metrics library', /^prom-client/, (path: string) => path.startsWith('service/metrics/')],
  ['the command line parser', /^commander/, (path: string) => path.startsWith('cli/')],
  ['the library of charts', /^uplot/, (path: string) => path.startsWith('web/page/')],
])('only its own place knows %s', (_what, library, isPlace) => {
  const users = sources.filter((file) => file.imports.some((name) => library.test(name)));
  expect(users.map((file) => file.path).filter((path) => !isPlace(path))).toEqual([]);
});

/** `import … from '…'` and `export … from '…'`, whether of types alone, and from where. */
const importsOf = ({ text }: SourceFile) =>
  [...text.matchAll(/^(?:import|export)\s+(type\s)?[^;']*?from\s+'([^']+)'/gm)].map((match) => ({
    isType: match[1] !== undefined,
    from: match[2]!,
  }));

it('the page shares types with the server, and of code only what is pure; the server does not import it', () => {
  const inPage = (path: string) => path.startsWith('web/page/');
  const wrong: string[] = [];
  for (const file of sources) {
    for (const { from, isType } of importsOf(file).filter((item) => item.from.startsWith('.'))) {
      const target = relative(src, join(src, dirname(file.path), from));
      if (inPage(file.path) && !inPage(target) && !isType && !target.startsWith('base/'))
        wrong.push(`${file.path} imports ${from}`);
      if (!inPage(file.path) && inPage(target)) wrong.push(`${file.path} imports ${from}`);
    }
    if (inPage(file.path) && file.imports.some((name) => name.startsWith('node:')))
      wrong.push(`${file.path} imports a module of Node`);
  }
  expect(wrong).toEqual([]);
  expect(sources.filter((file) => inPage(file.path)).length).toBeGreaterThan(5);
});

it('the page makes no markup out of text, and no style attribute', () => {
  const markup =
    /\.(innerHTML|outerHTML)\b|\b(insertAdjacentHTML|createContextualFragment)\(|new DOMParser|document\.write|setAttribute\(\s*'style'/;
  const wrong = sources.filter(({ path, text }) => path.startsWith('web/page/') && markup.test(text));
  expect(wrong.map((file) => file.path)).toEqual([]);
});

it('nothing is run through a shell', () => {
  const wrong = sources.filter((file) => /shell:\s*true|\bexecSync\(|\bexec\(\s*[`'"]/.test(file.text));
  expect(wrong.map((file) => file.path)).toEqual([]);
});

it('every file says at its head what it is', () => {
  const wrong = sources.filter((file) => !/^(#!.*\n)?\/\*\*/.test(file.text));
  expect(wrong.map((file) => file.path)).toEqual([]);
});
