/**
 * Makes the subflows of an interface backup or normal on connections under the userspace path manager, each by its own
 * command (MP_PRIO). Connections under the kernel's path manager follow their endpoints, which is addr_adv's work.
 */
import { EndpointFlag, type MptcpEvent, type PathManager } from '../mptcp/index.ts';
import { NetlinkError } from '../netlink/index.ts';
import { subflowsOf, type ConnectionTable } from './plugin-host/connection-table.ts';
import { localOf, remoteOf } from './plugin-host/event-decode.ts';
import { onEitherForm } from './plugin-host/commands.ts';

/** @returns how many subflows were changed */
export function setSubflowBackup(
  pathManager: PathManager,
  connections: ConnectionTable<unknown>,
  addresses: ReadonlySet<string>,
  backup: boolean,
): number {
  const flags = backup ? EndpointFlag.backup : 0;
  let changed = 0;
  for (const [token, entry] of connections.entries()) {
    const concerned = subflowsOf(entry).filter((subflow) => addresses.has(localOf(subflow).address));
    for (const subflow of concerned) if (setBackup(pathManager, token, subflow, flags)) changed++;
  }
  return changed;
}

function setBackup(pathManager: PathManager, token: number, subflow: MptcpEvent, flags: number): boolean {
  try {
    onEitherForm({ local: { ...localOf(subflow), flags }, remote: remoteOf(subflow) }, (ends) =>
      pathManager.setSubflowFlags(token, ends),
    );
    return true;
  } catch (error) {
    // It is under the kernel's path manager, or has ended meanwhile.
    if (error instanceof NetlinkError) return false;
    throw error;
  }
}
