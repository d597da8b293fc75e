/**
 * The guest's kernel from Debian's package: fetched by apt-get where none is given, and read without being installed
 * or unpacked to a disk. Programs: apt-get, apt-cache and dpkg-deb, which are Debian's own.
 *
 * Invariant: nothing is left in the folder that is given but the package, and only a whole one.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { extract } from 'tar-stream';
import { errorText, WeftError } from '../../base/index.ts';
import { moduleName, type ModuleFile } from './modules.ts';

const run = promisify(execFile);

/** Debian's name of this machine. */
export const DEBIAN_ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const META_PACKAGE = `linux-image-cloud-${DEBIAN_ARCHITECTURE}`;
const DOWNLOAD_TIMEOUT_MS = 300_000;
const OUTPUT_MAX_BYTES = 1 << 20;
/** BOUNDED: a kernel has 14 MB, its largest module 3 MB. */
const FILE_MAX_BYTES = 64 << 20;
const TOTAL_MAX_BYTES = 512 << 20;

export interface KernelFiles {
  /** `6.1.0-56-cloud-amd64` */
  readonly release: string;
  readonly kernel: Uint8Array;
  /** All that were asked for, and with them what they may need. */
  readonly modules: readonly ModuleFile[];
}

/** The package that the meta package of Debian's cloud kernel depends on now. Pure. */
export function namedKernelPackage(dependencies: string): string | undefined {
  const names = [...dependencies.matchAll(/^\s*Depends: (linux-image-\d\S*-cloud-\w+)$/gm)].map(
    (match) => match[1],
  );
  return names[0];
}

async function runProgram(program: string, args: readonly string[], cwd?: string): Promise<string> {
  try {
    const { stdout } = await run(program, args, {
      ...(cwd === undefined ? {} : { cwd }),
      timeout: DOWNLOAD_TIMEOUT_MS,
      maxBuffer: OUTPUT_MAX_BYTES,
      env: { ...process.env, LC_ALL: 'C' },
    });
    return stdout;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    const missing = code === 'ENOENT';
    const why = missing
      ? `${program} is not installed`
      : (stderr?.trim().split('\n').at(-1) ?? errorText(error));
    throw new WeftError(`${program} ${args.join(' ')}: ${why}`, {
      code: 'NO_KERNEL',
      cause: error,
      hint: missing
        ? 'images are built on Debian; elsewhere, "weft appliance import" takes one that was built there'
        : 'try "apt-get update" first, or name a package with --kernel',
    });
  }
}

/** Kernel packages in a folder, the newest by name last. */
function packagesIn(folder: string): string[] {
  const pattern = new RegExp(`^linux-image-\\d.*-cloud-${DEBIAN_ARCHITECTURE}_.*\\.deb$`);
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((name) => join(folder, name));
}

/**
 * The package of the current cloud kernel in `folder`, fetched into it when it is not there.
 * @returns its path
 * @throws WeftError NO_KERNEL
 */
export async function fetchKernelPackage(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const name = namedKernelPackage(await runProgram('apt-cache', ['depends', META_PACKAGE]));
  if (name === undefined) {
    throw new WeftError(`apt-cache knows no package "${META_PACKAGE}"`, {
      code: 'NO_KERNEL',
      hint: 'try "apt-get update" first, or name a package with --kernel',
    });
  }
  const present = packagesIn(folder).filter((path) => path.startsWith(join(folder, `${name}_`)));
  const last = present.at(-1);
  if (last !== undefined) return last;
  const temporary = mkdtempSync(join(folder, '.new-'));
  try {
    await runProgram('apt-get', ['download', '--quiet', name], temporary);
    const [fetched] = packagesIn(temporary);
    if (fetched === undefined) {
      throw new WeftError(`apt-get fetched no package "${name}"`, { code: 'NO_KERNEL' });
    }
    const path = join(folder, fetched.slice(temporary.length + 1));
    renameSync(fetched, path);
    return path;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** The newest package in a folder, without asking anybody; `undefined` when there is none. */
export function findKernelPackage(folder: string): string | undefined {
  try {
    return packagesIn(folder).at(-1);
  } catch {
    return undefined;
  }
}

const KERNEL = /^\.?\/?boot\/vmlinuz-(.+)$/;
const MODULE = /^\.?\/?(?:usr\/)?lib\/modules\/[^/]+\/(kernel\/.+\.ko)(\.xz)?$/;

/** Debian 13's modules are compressed; only those that are used are unpacked, when they are asked for. */
class CompressedModule implements ModuleFile {
  readonly path: string;
  readonly #compressed: Uint8Array;
  #data: Uint8Array | undefined;

  constructor(path: string, compressed: Uint8Array) {
    this.path = path;
    this.#compressed = compressed;
  }

  get data(): Uint8Array {
    this.#data ??= this.#unpack();
    return this.#data;
  }

  #unpack(): Uint8Array {
    const options = { input: this.#compressed, maxBuffer: FILE_MAX_BYTES };
    const { error, status, stderr, stdout } = spawnSync('xz', ['--decompress', '--stdout'], options);
    if (error === undefined && status === 0) return stdout;
    const why = error?.message ?? stderr.toString('utf8').trim();
    throw new WeftError(`the kernel module "${this.path}" cannot be unpacked by xz: ${why}`, {
      code: 'BAD_MODULE',
      ...(error === undefined ? {} : { cause: error, hint: 'install xz-utils' }),
    });
  }
}

/**
 * Reads kernel and modules out of a package.
 * @param isWanted by module name; more are read than are used, because modules need others
 * @throws WeftError NO_KERNEL, BAD_KERNEL when it is no such package
 */
export async function readKernelPackage(
  path: string,
  isWanted: (module: string) => boolean = () => true,
): Promise<KernelFiles> {
  const child = spawn('dpkg-deb', ['--fsys-tarfile', path], { stdio: ['ignore', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-1000);
  });
  const ended = new Promise<number | Error>((resolve) => {
    child.once('error', resolve);
    child.once('close', (code) => resolve(code ?? -1));
  });
  let release = '';
  let kernel: Uint8Array | undefined;
  let total = 0;
  const modules: ModuleFile[] = [];
  const archive = child.stdout.pipe(extract());
  const failure = (why: string) =>
    new WeftError(`"${path}" cannot be read as a kernel package: ${why}`, { code: 'BAD_KERNEL' });
  try {
    for await (const entry of archive) {
      const { name, size = 0, type } = entry.header;
      const kernelName = KERNEL.exec(name);
      const moduleFile = MODULE.exec(name);
      const isModule = moduleFile !== null && isWanted(moduleName(moduleFile[1] ?? ''));
      if (type !== 'file' || (kernelName === null && !isModule)) {
        entry.resume();
        continue;
      }
      total += size;
      if (size > FILE_MAX_BYTES || total > TOTAL_MAX_BYTES) throw failure(`"${name}" is too large`);
      const chunks: Uint8Array[] = [];
      for await (const chunk of entry) chunks.push(chunk);
      const data = Buffer.concat(chunks);
      if (kernelName !== null) {
        release = kernelName[1] ?? '';
        kernel = data;
      } else {
        const [, modulePath = '', compressed] = moduleFile ?? [];
        modules.push(
          compressed === undefined ? { path: modulePath, data } : new CompressedModule(modulePath, data),
        );
      }
    }
  } catch (error) {
    child.kill();
    await ended;
    throw error instanceof WeftError ? error : failure(complaint.trim() || errorText(error));
  }
  const end = await ended;
  if (end instanceof Error) {
    const hint = 'install dpkg, or build the image on Debian';
    throw new WeftError(`dpkg-deb could not start: ${end.message}`, { code: 'NO_KERNEL', cause: end, hint });
  }
  if (end !== 0) throw failure(complaint.trim() || `dpkg-deb ended with ${end}`);
  if (kernel === undefined) throw failure('it has no /boot/vmlinuz');
  return { release, kernel, modules };
}
