/**
 * Undoes what a Weft that was killed left on this host: rules and routes, which carry Weft's protocol number; endpoints
 * and limits, which its record names; files of the runtime folder. The next start does the same by itself; this is for
 * who does not want a next start.
 *
 * Invariant: with a running Weft nothing is touched, because that holds the lock.
 */
import { existsSync, rmSync } from 'node:fs';
import { errorText, WeftError, type Logger } from '../base/index.ts';
import { PathManager } from '../mptcp/index.ts';
import { removeFile } from '../native/index.ts';
import { RouteNetlink } from '../netlink/index.ts';
import { EndpointOwner } from '../pathmanager/index.ts';
import { RoutingTables } from '../routing/index.ts';
import { undoAppliance } from './appliance/leftovers.ts';
import { removeAbandoned } from './abandoned.ts';
import { WEFT_FACE, type BackendKind } from './control-api.ts';
import { takeServiceLock } from './control-server.ts';
import { readProcessRecord, removeProcessRecord } from './process-record.ts';
import { controlSocketPath, networkNamespaceInode, prepareRuntimeFolder } from './runtime-folder.ts';
import { namespaceIdentity } from './namespace-identity.ts';
import { StateJournal } from './state.ts';

export interface Leftovers {
  /** What was found and removed, in words; empty: nothing was there. */
  readonly removed: readonly string[];
  readonly failures: readonly string[];
}

interface Findings {
  readonly removed: string[];
  readonly failures: string[];
}

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;

function undoRouting({ removed, failures }: Findings): void {
  const netlink = RouteNetlink.open();
  try {
    const tables = new RoutingTables(netlink);
    if (!tables.mayChange()) return;
    const result = tables.removeAll();
    const count = result.done.length;
    if (count > 0) removed.push(`${count} rules and routes`);
    failures.push(...result.failures.map(({ text }) => text));
  } finally {
    netlink.close();
  }
}

/** `undefined`: this kernel has no MPTCP. */
function openPathManager(): PathManager | undefined {
  try {
    return PathManager.open();
  } catch (error) {
    if (error instanceof WeftError && error.code === 'NO_MPTCP') return undefined;
    throw error;
  }
}

function undoEndpoints(folder: string, logger: Logger, { removed, failures }: Findings): void {
  const namespace = namespaceIdentity();
  const journal = StateJournal.open(folder, namespace, logger);
  const pathManager = openPathManager();
  try {
    if (pathManager === undefined) return;
    const owner = new EndpointOwner(pathManager, journal, logger);
    if (!owner.ownsSomething) return;
    const count = owner.owned.length;
    failures.push(...owner.removeAll());
    removed.push(count === 0 ? 'raised limits' : plural(count, 'endpoint'));
  } finally {
    pathManager?.close();
    journal.close();
  }
}

function undoFiles(folder: string, netns: number, { removed }: Findings): void {
  const socket = controlSocketPath(folder, netns, WEFT_FACE.file);
  if (readProcessRecord(folder, netns) !== undefined || existsSync(socket)) {
    removed.push('the record of a process that was killed');
  }
  removeProcessRecord(folder, netns);
  removeFile(socket);
  removeAbandoned(folder, netns);
}

async function attempt({ failures }: Findings, work: () => Promise<void> | void): Promise<void> {
  try {
    await work();
  } catch (error) {
    failures.push(errorText(error));
  }
}

/**
 * What the backend of a killed Weft has left, of either kind: the one that starts now takes over only what is its own.
 * The caller holds the lock of this network namespace's Weft. Never rejects.
 */
export async function undoBackend(
  kind: BackendKind,
  folder: string,
  logger: Logger,
  findings: Findings = { removed: [], failures: [] },
): Promise<Leftovers> {
  if (kind === 'appliance') {
    await attempt(findings, async () => {
      if (await undoAppliance(folder, logger)) findings.removed.push('an appliance');
    });
    return findings;
  }
  await attempt(findings, () => undoEndpoints(folder, logger, findings));
  await attempt(findings, () => undoRouting(findings));
  return findings;
}

/** @throws WeftError `ALREADY_RUNNING`: somebody has started one meanwhile */
export async function undoLeftovers(logger: Logger): Promise<Leftovers> {
  const findings: Findings = { removed: [], failures: [] };
  const folder = prepareRuntimeFolder();
  const netns = networkNamespaceInode();
  const lock = takeServiceLock(folder, netns);
  try {
    await undoBackend('appliance', folder, logger, findings);
    await undoBackend('native', folder, logger, findings);
    await attempt(findings, () => undoFiles(folder, netns, findings));
  } finally {
    lock.release();
  }
  return findings;
}

/** The log of one in the background, when it has ended in order. */
export function removeLog(path: string): void {
  for (const ending of ['', '.1', '.new']) rmSync(`${path}${ending}`, { force: true });
}
