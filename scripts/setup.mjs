/**
 * Brings a checkout into a state that can run: dependencies from the lock file, then the build. Does nothing
 * when both are newer than what they are made from, so that a second `npm start` begins at once.
 *
 * References: package-lock.json (what is installed), scripts/build.mjs (what is built).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a program to its end with its output on ours; throws when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (result.error) throw new Error(`${command} could not start: ${result.error.message}`);
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')} failed (exit ${result.status ?? result.signal})`);
}

function newestChangeMs(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  let newest = stat.mtimeMs;
  for (const name of readdirSync(path)) newest = Math.max(newest, newestChangeMs(join(path, name)));
  return newest;
}

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Error(`Weft needs Node 20.19 or newer; this is ${process.versions.node}`);
  }
}

function installIfNeeded() {
  const stamp = join(root, 'node_modules', '.weft-lock-sha256');
  const wanted = sha256(join(root, 'package-lock.json'));
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('weft: installing dependencies from package-lock.json');
  run('npm', ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund']);
  writeFileSync(stamp, wanted);
}

function buildIfNeeded() {
  const stamp = join(root, 'dist', '.built');
  const sources = [
    'src',
    'scripts/build.mjs',
    'scripts/build-parts.mjs',
    'scripts/direct-imports.mjs',
    'tsconfig.json',
    'tsconfig.build.json',
    'package.json',
    'node_modules/.weft-lock-sha256',
  ];
  const newest = Math.max(...sources.map((name) => newestChangeMs(join(root, name))));
  if (existsSync(stamp) && statSync(stamp).mtimeMs > newest) return;
  console.error('weft: building');
  run(process.execPath, [join(root, 'scripts', 'build.mjs')]);
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(stamp, '');
}

/** Installs and builds what is missing or stale. Throws with one line that says what to do. */
export function setUp() {
  checkNode();
  installIfNeeded();
  buildIfNeeded();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    setUp();
  } catch (error) {
    console.error(`weft: ${error.message}`);
    process.exit(1);
  }
}
