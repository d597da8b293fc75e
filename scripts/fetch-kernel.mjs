/**
 * Fetches Debian's cloud kernel for the tests that boot the appliance, into node_modules/.cache/weft-kernel: the
 * package is neither installed nor unpacked. Does nothing when one is there. Where there is no apt-get or no network,
 * says so; those tests say then what is missing.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './setup.mjs';

const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
/** The name of the folder, and by which test files are known that need it (filesThatNeed in test-programs.mjs). */
export const KERNEL = 'weft-kernel';
const folder = join(root, 'node_modules', '.cache', KERNEL);

function ask(program, args, cwd = root) {
  const result = spawnSync(program, args, { cwd, encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  if (result.error) throw new Error(`${program} could not start: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${result.stderr.trim()}`);
  return result.stdout;
}

const packages = (where) => readdirSync(where).filter((name) => /^linux-image-\d.*\.deb$/.test(name));

function fetchOnce() {
  const meta = `linux-image-cloud-${ARCHITECTURE}`;
  const name = /Depends: (linux-image-\d\S+)/.exec(ask('apt-cache', ['depends', meta]))?.[1];
  if (name === undefined) throw new Error(`apt-cache knows no package "${meta}"`);
  const temporary = mkdtempSync(join(folder, '.new-'));
  try {
    ask('apt-get', ['download', '--quiet', name], temporary);
    for (const file of packages(temporary)) renameSync(join(temporary, file), join(folder, file));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Whether the tests that boot the appliance have what they need. */
export function hasKernel() {
  return existsSync(folder) && packages(folder).length > 0;
}

/** Brings the package here. Never throws: the tests say what they miss. */
export function fetchKernel() {
  try {
    if (hasKernel()) return;
    mkdirSync(folder, { recursive: true });
    console.error('weft: fetching the kernel package of the appliance for the tests');
    try {
      fetchOnce();
    } catch (error) {
      if (process.getuid() !== 0) throw error;
      // Lists of packages that are missing, or older than what the servers still have.
      ask('apt-get', ['update', '-qq']);
      fetchOnce();
    }
  } catch (error) {
    console.error(`weft: the kernel of the appliance could not be fetched: ${error.message}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) fetchKernel();
