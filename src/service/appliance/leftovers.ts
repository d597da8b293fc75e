/**
 * Undoes what an appliance whose Weft was killed has left: its QEMU, rules, routes, settings and firewall, all of which
 * its record or their numbers name. For `weft down`, and for a start with the other backend.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { removeApplianceLeftovers } from '../../appliance/index.ts';
import { WeftError, type Logger } from '../../base/index.ts';
import { RouteNetlink } from '../../netlink/index.ts';
import { namespaceIdentity } from '../namespace-identity.ts';
import { ApplianceJournalFile } from './appliance-journal.ts';

/**
 * @param folder the runtime folder
 * @param netns file of the network namespace; default is this process's own
 * @returns whether there was anything
 * @throws WeftError CLEANUP: something stays; ALREADY_RUNNING: its Weft runs
 */
export async function undoAppliance(folder: string, logger: Logger, netns?: string): Promise<boolean> {
  // Without a record nothing was made.
  if (!existsSync(join(folder, `appliance-${namespaceIdentity(netns).inode}.json`))) return false;
  const where = netns === undefined ? {} : { netns };
  const journal = ApplianceJournalFile.open(folder, logger, netns);
  const netlink = RouteNetlink.open(where);
  try {
    const { failures, removed } = await removeApplianceLeftovers({ journal, netlink, ...where });
    if (failures.length === 0) return removed.length > 0;
    throw new WeftError(`not everything of the appliance could be removed: ${failures.join('; ')}`, {
      code: 'CLEANUP',
      hint: 'the next start tries again',
    });
  } finally {
    netlink.close();
    journal.close();
  }
}
