/**
 * Undoes what an appliance whose Weft was killed has left: its QEMU, cables, rules, routes, settings and firewall, all
 * of which its record names. For `weft down`, and for a start with the other backend.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Appliance } from '../../appliance/index.ts';
import type { Logger } from '../../base/index.ts';
import { RouteNetlink } from '../../netlink/index.ts';
import { namespaceIdentity } from '../namespace-identity.ts';
import { ApplianceJournalFile } from './appliance-journal.ts';

/** Nothing is booted here. */
const NO_MACHINE = {
  program: '',
  boot: { kind: 'kernel', kernelPath: '', initramfsPath: '', commandLine: '' },
  memoryMiB: 0,
  processors: 0,
  machineId: '',
} as const;

/**
 * @returns whether there was anything
 * @throws WeftError CLEANUP: something stays; ALREADY_RUNNING: its Weft runs
 */
export async function undoAppliance(folder: string, logger: Logger): Promise<boolean> {
  // Without a record nothing was made.
  if (!existsSync(join(folder, `appliance-${namespaceIdentity().inode}.json`))) return false;
  const journal = ApplianceJournalFile.open(folder, logger);
  const netlink = RouteNetlink.open();
  try {
    const { firewall, machines, settings } = journal.load();
    await new Appliance({ ...NO_MACHINE, journal, netlink, logger }).stop();
    return firewall || machines.length > 0 || settings.length > 0;
  } finally {
    netlink.close();
    journal.close();
  }
}
