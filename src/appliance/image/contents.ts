/**
 * What is in the guest's first file system: Node, Weft's program for the guest, the kernel's modules, and the few
 * files that a C library looks for. Reads them from this machine; layout.ts says where they go.
 *
 * Invariant: depends on those files alone, never on the time, the user or the folder that Weft lies in.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { WeftError } from '../../base/index.ts';
import type { CpioEntry } from './cpio.ts';
import { GUEST_PROGRAM, MODULE_LIST, NODE_PROGRAM, WEFT_FOLDER } from './layout.ts';
import type { ModuleFile } from './modules.ts';
import { collectLibraries } from './program-files.ts';

export interface ContentSources {
  /** The folder of the package, with dist. */
  readonly packageFolder: string;
  readonly version: string;
  /** The Node program to put in. */
  readonly node: string;
  readonly kernelRelease: string;
  /** In the order of loading. */
  readonly modules: readonly ModuleFile[];
}

/** Threads that the guest's program starts (native/epoll-thread.ts). */
const WORKERS = ['relay'];

const ARCH = process.arch;
const KOFFI = `@koromix/koffi-linux-${ARCH}`;
const KOFFI_NATIVE = `${KOFFI}/linux_${ARCH}/koffi.node`;

const text = (path: string, content: string, executable = false): CpioEntry => ({
  kind: 'file',
  path,
  executable,
  data: new TextEncoder().encode(content),
});

function readBuilt(path: string): Uint8Array {
  if (existsSync(path)) return readFileSync(path);
  throw new WeftError(`"${path}" is missing`, { code: 'NOT_BUILT', hint: 'run "npm run build"' });
}

function readKoffi(packageFolder: string): { readonly path: string; readonly data: Uint8Array } {
  const require = createRequire(join(packageFolder, 'package.json'));
  try {
    const path = require.resolve(KOFFI_NATIVE);
    return { path, data: readFileSync(path) };
  } catch (cause) {
    throw new WeftError(`koffi's native half (${KOFFI_NATIVE}) was not found`, {
      code: 'NO_KOFFI',
      cause,
      hint: 'run "npm ci" again on this machine',
    });
  }
}

/** Files that the C library and Node look for, and the folders to mount at. */
function smallFiles(version: string): CpioEntry[] {
  const manifest = JSON.stringify({ name: 'weft', version, type: 'module' });
  return [
    text('/init', `#!${NODE_PROGRAM}\nrequire('${GUEST_PROGRAM}');\n`, true),
    text('/etc/hosts', '127.0.0.1 localhost\n::1 localhost\n'),
    // The host resolves names; without this line every look-up would wait for a server that is not there.
    text('/etc/nsswitch.conf', 'hosts: files\n'),
    text('/etc/passwd', 'root:x:0:0:root:/:/init\n'),
    text(`${WEFT_FOLDER}/package.json`, `${manifest}\n`),
    ...['/dev', '/proc', '/run', '/sys', '/tmp'].map((path): CpioEntry => ({ kind: 'folder', path })),
  ];
}

/** @throws WeftError NOT_BUILT, NO_KOFFI, NO_LIBRARY, BAD_PROGRAM */
export function collectContents(sources: ContentSources): CpioEntry[] {
  const { kernelRelease, modules, node, packageFolder, version } = sources;
  const dist = join(packageFolder, 'dist');
  const nodeData = readFileSync(node);
  const koffi = readKoffi(packageFolder);
  const moduleFolder = `/lib/modules/${kernelRelease}`;
  return [
    ...smallFiles(version),
    { kind: 'file', path: NODE_PROGRAM, data: nodeData, executable: true },
    ...collectLibraries([{ path: node, data: nodeData }, koffi]),
    { kind: 'file', path: GUEST_PROGRAM, data: readBuilt(join(dist, 'appliance', 'guest.cjs')) },
    ...WORKERS.map((name): CpioEntry => ({
      kind: 'file',
      path: `${WEFT_FOLDER}/dist/workers/${name}.js`,
      data: readBuilt(join(dist, 'workers', `${name}.js`)),
    })),
    { kind: 'file', path: `${WEFT_FOLDER}/node_modules/${KOFFI_NATIVE}`, data: koffi.data },
    ...modules.map(({ data, path }): CpioEntry => ({ kind: 'file', path: `${moduleFolder}/${path}`, data })),
    text(MODULE_LIST, modules.map(({ path }) => `${moduleFolder}/${path}\n`).join('')),
  ];
}
