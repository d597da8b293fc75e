/**
 * Builds dist/: the library modules with their declarations (tsc), then the programs and workers as bundles
 * (esbuild), so that a command loads one small file and nothing that it does not use: package.json names the one
 * module that does something by being imported ("sideEffects"), so unused ones are left out.
 */
import { build } from 'esbuild';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { buildInParts } from './build-parts.mjs';
import { root, run } from './setup.mjs';

const src = (name) => join(root, 'src', name);
/**
 * Made aside and then put in place, so that a build that fails leaves the last one working; a folder for each process,
 * because two may build at once.
 */
const dist = join(root, `dist.new-${process.pid}`);
const former = join(root, `dist.old-${process.pid}`);

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** What builds left that were killed. */
function sweepFolders() {
  for (const name of readdirSync(root)) {
    const pid = Number(/^dist\.(?:new|old)-(\d+)$/.exec(name)?.[1]);
    if (pid > 0 && !isAlive(pid)) rmSync(join(root, name), { recursive: true, force: true });
  }
}

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

/** What the file of a fast command leaves to files of their own, by how it imports them. */
const APART = {
  './program.ts': './verbs/program.js',
  './mptcp-own.ts': './mptcp-own.js',
  './mptcpctl-run.ts': './verbs/mptcpctl-run.js',
  './mptcpd-run.ts': './mptcpd-run.js',
  '../compat/mptcpd-run.ts': './mptcpd-run.js',
};

const rarelyUsedApart = {
  name: 'rarely-used-apart',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\.{1,2}\/.*\.ts$/ }, ({ kind, path }) =>
      kind === 'dynamic-import' && path in APART ? { path: APART[path], external: true } : undefined,
    ),
};

/** Node's `import()` starts its module loader, which takes 10 ms; a CommonJS neighbour can be had without it. */
function requireOwnPart(path, part) {
  const text = readFileSync(path, 'utf8');
  const imported = `import("./${part}")`;
  if (!text.includes(imported)) throw new Error(`${path} does not import ${part} any more`);
  writeFileSync(path, text.replace(imported, `Promise.resolve(require("./${part}"))`));
}

/** What licences of packages that are part of a bundle ask for: their words, with it. */
function licensesOf(names) {
  const texts = names.map((name) => {
    const folder = join(root, 'node_modules', name);
    const { license, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8').trim()}\n`;
  });
  return `The page of Weft contains:\n\n${texts.join('\n')}`;
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

sweepFolders();
rmSync(dist, { recursive: true, force: true });
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', dist]);
const asCommonJs = {
  ...common,
  format: 'cjs',
  define: { 'import.meta.url': 'moduleUrl' },
  banner: {
    js: `'use strict'; const moduleUrl = 'file://' + encodeURI(__filename).replace(/[?#]/g, encodeURIComponent);`,
  },
};
// The commands that scripts call a thousand times, and the daemon, are one CommonJS file each: Node starts such a file
// 3 ms sooner than a module, and a small file sooner than a large one (bench/ip-mptcp/RESULTS.md). What they use
// rarely, and everything else of `weft`, is in files of its own.
await build({
  ...asCommonJs,
  entryPoints: {
    weft: src('cli/weft.ts'),
    'ip-mptcp': src('cli/compat/ip-mptcp.ts'),
    mptcpctl: src('cli/compat/mptcpctl.ts'),
    mptcpd: src('cli/compat/mptcpd.ts'),
    'mptcp-own': src('cli/commands/mptcp-own.ts'),
  },
  outdir: join(dist, 'bin'),
  plugins: [rarelyUsedApart],
});
// A program of one file that imports a module dynamically and statically would use what nobody has begun.
for (const name of ['mptcpd-run', 'mptcpize', 'mpt', 'mptsrv']) {
  await buildInParts({
    modules: { ...common, define: asCommonJs.define },
    asCommonJs,
    entryPoints: { [name]: src(`cli/compat/${name}.ts`) },
    outdir: join(dist, 'bin'),
  });
}
// Each verb is read only when it is used.
await buildInParts({
  modules: { ...common, define: asCommonJs.define },
  asCommonJs,
  entryPoints: { program: src('cli/program.ts'), 'mptcpctl-run': src('cli/compat/mptcpctl-run.ts') },
  outdir: join(dist, 'bin', 'verbs'),
});
requireOwnPart(join(dist, 'bin', 'weft.js'), 'mptcp-own.js');
requireOwnPart(join(dist, 'bin', 'weft.js'), 'mptcpd-run.js');
requireOwnPart(join(dist, 'bin', 'weft.js'), 'verbs/program.js');
requireOwnPart(join(dist, 'bin', 'mptcpctl.js'), 'verbs/mptcpctl-run.js');
requireOwnPart(join(dist, 'bin', 'mptcpd.js'), 'mptcpd-run.js');
writeFileSync(join(dist, 'bin', 'package.json'), '{ "type": "commonjs" }\n');
// CommonJS, because `--require` of it is what every Node understands in NODE_OPTIONS, and for older ones too: programs
// that know nothing of Weft load it.
await build({
  ...asCommonJs,
  target: 'node16',
  entryPoints: { register: src('register/register.ts') },
  outdir: join(dist, 'register'),
  outExtension: { '.js': '.cjs' },
});
// What runs in the appliance's guest is one file with everything in it but koffi's native half, which the image has
// too (src/appliance/image/contents.ts).
await build({
  ...asCommonJs,
  entryPoints: { guest: src('service/appliance/guest-main.ts') },
  outdir: join(dist, 'appliance'),
  outExtension: { '.js': '.cjs' },
  packages: 'bundle',
  external: ['koffi', '@koromix/*'],
  define: {
    ...asCommonJs.define,
    WEFT_VERSION: JSON.stringify(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version),
  },
});
// The page: one script, one style sheet, one document, and who made what is in them. Nothing in it is found elsewhere,
// because the page asks no other host; names have no hash, because the server tells browsers what has changed (ETag).
const page = (name) => src(join('web', 'page', name));
// Beside the server's modules.
const pageFolder = join(dist, 'web', 'page');
await build({
  bundle: true,
  minify: true,
  format: 'esm',
  entryPoints: [
    { in: page('main.ts'), out: 'page' },
    { in: page('page.css'), out: 'page' },
  ],
  outdir: pageFolder,
  target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
  legalComments: 'none',
  logLevel: 'warning',
  tsconfig: page('tsconfig.json'),
});
copyFileSync(page('index.html'), join(pageFolder, 'index.html'));
writeFileSync(join(pageFolder, 'licenses.txt'), licensesOf(['uplot']));
const workers = workerEntries();
if (Object.keys(workers).length > 0)
  await build({ ...common, entryPoints: workers, outdir: join(dist, 'workers') });
for (const name of [
  'weft.js',
  'ip-mptcp.js',
  'mptcpctl.js',
  'mptcpd.js',
  'mptcpize.js',
  'mpt.js',
  'mptsrv.js',
]) {
  if (existsSync(join(dist, 'bin', name))) chmodSync(join(dist, 'bin', name), 0o755);
}
const built = join(root, 'dist');
rmSync(former, { recursive: true, force: true });
// Renaming takes no time, so that who starts a program meanwhile finds the one or the other.
if (existsSync(built)) renameSync(built, former);
renameSync(dist, built);
rmSync(former, { recursive: true, force: true });
