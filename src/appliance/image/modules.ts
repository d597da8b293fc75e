/**
 * Which kernel modules go into the image, in the order in which they are loaded (pure): those that the guest uses,
 * each behind those that it needs. Read from the modules themselves, because Debian's package has no modules.dep.
 *
 * Invariant: a module stands behind all that it needs, and the order depends on the kernel alone.
 */
import { WeftError } from '../../base/index.ts';
import { moduleInformation } from './elf-file.ts';

/** What the guest uses. A kernel that has one built in has no file of it, which is as good. */
export const WANTED_MODULES = [
  'virtio_pci',
  'virtio_mmio',
  'virtio_console',
  'virtio_net',
  'virtio_rng',
  'tcp_diag',
  'mptcp_diag',
] as const;

export interface ModuleFile {
  /** Inside the kernel's folder, `kernel/drivers/net/virtio_net.ko`. */
  readonly path: string;
  readonly data: Uint8Array;
}

/** `virtio-rng.ko` is the module virtio_rng. */
export function moduleName(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .replace(/\.ko$/, '')
    .replaceAll('-', '_');
}

/** Names of the modules that a module needs. @throws WeftError BAD_MODULE */
export function moduleNeeds(file: ModuleFile): string[] {
  const information = moduleInformation(file.data);
  if (typeof information === 'string') {
    throw new WeftError(`the kernel module "${file.path}" cannot be read: ${information}`, {
      code: 'BAD_MODULE',
    });
  }
  return (information.get('depends') ?? [])
    .flatMap((text) => text.split(','))
    .filter((name) => name !== '')
    .map((name) => name.replaceAll('-', '_'));
}

/**
 * @param files every module of the kernel that may be needed
 * @throws WeftError BAD_MODULE; NO_MODULE when one that is needed is missing
 */
export function orderModules(
  files: readonly ModuleFile[],
  wanted: readonly string[] = WANTED_MODULES,
): ModuleFile[] {
  const byName = new Map(files.map((file) => [moduleName(file.path), file]));
  const ordered = new Map<string, ModuleFile>();
  const visit = (name: string, neededBy: string | undefined, above: readonly string[]) => {
    if (ordered.has(name) || above.includes(name)) return;
    const file = byName.get(name);
    if (file === undefined) {
      if (neededBy === undefined) return;
      throw new WeftError(`the kernel module ${neededBy} needs ${name}, which is not there`, {
        code: 'NO_MODULE',
      });
    }
    for (const needed of moduleNeeds(file)) visit(needed, name, [...above, name]);
    ordered.set(name, file);
  };
  for (const name of wanted) visit(name, undefined, []);
  return [...ordered.values()];
}
