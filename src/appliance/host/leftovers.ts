/**
 * Removes what a killed process left of an appliance: its QEMU first, because that holds the TAP links; then forwarding,
 * rules and routes, and the firewall.
 */
import type { RouteNetlink } from '../../netlink/index.ts';
import { HostOwner } from './host-owner.ts';
import { ApplianceLedger, type ApplianceJournal } from './journal.ts';
import { endProcess, findProcesses } from './left-processes.ts';

export interface ApplianceLeftovers {
  /** What was found and removed, in words. */
  readonly removed: readonly string[];
  readonly failures: readonly string[];
}

export async function removeLeftovers(
  ledger: ApplianceLedger,
  owner: HostOwner,
): Promise<ApplianceLeftovers> {
  const removed: string[] = [];
  const failures: string[] = [];
  for (const uuid of ledger.machines) {
    for (const found of findProcesses(uuid)) {
      if (await endProcess(found)) removed.push(`the appliance's QEMU (process ${found.pid})`);
      else failures.push(`process ${found.pid} (QEMU) does not end`);
    }
  }
  if (failures.length === 0 && ledger.machines.length > 0) ledger.setMachines([]);
  const settings = ledger.settings.length;
  const { firewall } = ledger;
  const changes = owner.routingChanges;
  failures.push(...owner.removeAll());
  if (settings > ledger.settings.length) removed.push(`${settings} settings of forwarding`);
  if (owner.routingChanges > changes)
    removed.push(`${owner.routingChanges - changes} rules and routes of the appliance`);
  if (firewall && !ledger.firewall) removed.push("the appliance's table of nftables");
  return { removed, failures };
}

/** The same without a start of one's own. */
export async function removeApplianceLeftovers(options: {
  readonly journal: ApplianceJournal;
  readonly netlink: RouteNetlink;
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
}): Promise<ApplianceLeftovers> {
  const { journal, ...where } = options;
  const ledger = new ApplianceLedger(journal);
  const owner = new HostOwner({ ledger, ...where });
  try {
    return await removeLeftovers(ledger, owner);
  } finally {
    owner.close();
  }
}
