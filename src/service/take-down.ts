/**
 * Ends the Weft of this network namespace and leaves the host as it was: what a running one undoes by itself, and what
 * a killed one could not. Also when none runs, so that calling it twice, or after a crash, ends well.
 */
import { MacHost } from '../appliance/index.ts';
import { silentLogger, WeftError } from '../base/index.ts';
import { MacJournalFile, macRecordPath, runMacCommand } from './appliance/mac-system.ts';
import { endRunning, type EndOutcome } from './background.ts';
import { removeLog, undoLeftovers, type Leftovers } from './leftovers.ts';
import { logPath } from './process-record.ts';
import { isProxyAlive, USUAL_PROXY } from './proxy-probe.ts';
import { networkNamespaceInode, prepareRuntimeFolder } from './runtime-folder.ts';

export interface DownReport extends Leftovers {
  readonly outcome: EndOutcome;
}

/** For each of: asked to end, told by a signal, killed. */
const END_DEADLINE_MS = 20_000;

/** There is no lock: what has just ended, or none, is no longer in the way. */
async function undoOnMac(): Promise<Leftovers> {
  const host = new MacHost(runMacCommand, new MacJournalFile(macRecordPath(prepareRuntimeFolder())));
  const removed = host.ownsSomething ? ['aliases, rules of pf and the forwarding switch'] : [];
  return { removed, failures: await host.undo() };
}

/** @throws WeftError: it belongs to another user, or cannot be ended, or another has started meanwhile */
export async function takeDown(): Promise<DownReport> {
  const outcome = await endRunning({ deadlineMs: END_DEADLINE_MS });
  if (outcome === 'not-running' && process.getuid?.() !== 0 && (await isProxyAlive(USUAL_PROXY))) {
    throw new WeftError(`a Weft of another user answers on ${USUAL_PROXY}, and is not yours to stop`, {
      code: 'EACCES',
      hint: 'stop it as that user, for instance: sudo weft down',
    });
  }
  const left = process.platform === 'darwin' ? await undoOnMac() : await undoLeftovers(silentLogger);
  // What an orderly end has not written is worth reading only when something went wrong.
  if (outcome === 'ended' && left.failures.length === 0) {
    removeLog(logPath(prepareRuntimeFolder(), networkNamespaceInode()));
  }
  return { outcome, ...left };
}
