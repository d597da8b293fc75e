/**
 * The programs that the tests run beside Weft: which Debian packages of .ci/debian-packages.txt are missing, how they
 * are installed, and which test files need them. Run by itself it prints the missing packages, one a line.
 *
 * A program counts, not a package: other distributions have the same programs under other names.
 */
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run } from './setup.mjs';

/** Where Debian keeps `ip` and `nft`, and where the PATH of an ordinary user does not lead. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin'];

/** Lets this process and its children find programs for administrators. */
export function widenPath() {
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => folder !== '');
  process.env.PATH = [...new Set([...folders, ...SYSTEM_FOLDERS])].join(':');
}

/** @param program a name to be found in the PATH, or a path */
function isInstalled(program) {
  const folders = isAbsolute(program) ? ['/'] : process.env.PATH.split(':');
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Packages with at least one program missing: `{ name, programs }`, the latter being those that are. */
export function missingPackages() {
  return readFileSync(join(root, '.ci', 'debian-packages.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' '))
    .map(([name, ...programs]) => ({ name, programs: programs.filter((program) => !isInstalled(program)) }))
    .filter(({ programs }) => programs.length > 0);
}

/** Installs packages as root. Where that is not possible, says why and what is missing, and returns. */
export function installPackages(packages) {
  const names = packages.map(({ name }) => name);
  const remedy = `apt-get install ${names.join(' ')}`;
  if (process.getuid() !== 0) {
    console.error(`weft: not installed, and needed by tests: ${names.join(' ')} — sudo ${remedy}`);
    return;
  }
  console.error(`weft: installing what tests need: ${names.join(' ')}`);
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  try {
    run('apt-get', ['update', '-qq'], options);
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], options);
  } catch (error) {
    console.error(`weft: they could not be installed: ${error.message} — ${remedy}`);
  }
}

/** The text of a test file and of the files in test/ that it imports. */
function textWithImports(path, seen = new Set()) {
  if (seen.has(path)) return '';
  seen.add(path);
  const text = readFileSync(path, 'utf8');
  const imports = [...text.matchAll(/ from '(\.{1,2}\/[^']+)'/g)]
    .map((match) => resolve(dirname(path), match[1]))
    .filter((file) => file.startsWith(join(root, 'test')));
  return [text, ...imports.map((file) => textWithImports(file, seen))].join('\n');
}

/** Test files, relative to the checkout, that name one of the programs as a word of their own in quotes. */
export function filesThatNeed(programs) {
  const named = new RegExp(`['"\`](?:${programs.join('|')})['"\`]`);
  return readdirSync(join(root, 'test'))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(root, 'test', name))
    .filter((path) => named.test(textWithImports(path)))
    .map((path) => relative(root, path));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  widenPath();
  for (const { name } of missingPackages()) console.log(name);
}
