/** Asks whoever runs in this network namespace, `weft up` or the path-management daemon: what it is, and why. */
import { WeftError } from '../../base/index.ts';
import { WEFT_FACE } from '../control-api.ts';
import { callsOf, ControlClient, type AnyFace } from '../control-client.ts';
import { DAEMON_FACE } from '../daemon/control-api.ts';
import { DaemonControlClient } from '../daemon/control-client.ts';
import type { ObserveApi, WhyQuery, WhyReport } from '../observe/api.ts';
import { OBSERVE_CALLS } from '../observe/calls.ts';
import type { DaemonFact, HostFacts, RunningFact } from './facts.ts';

async function unlessAbsent<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    // A host without one, or with one that may not be asked, is no worse for it.
    if (error instanceof WeftError) return undefined;
    throw error;
  }
}

/** What the Weft that runs here says of itself, if one answers. */
export function askRunning(): Promise<RunningFact | undefined> {
  return unlessAbsent(async () => {
    const { backend, mode, pid, proxy } = await new ControlClient().status();
    return { pid, mode, multipath: proxy.multipath, backend: backend.kind };
  });
}

/** Shipped ones that leave opening subflows to the kernel. Of others nothing is known, and they are trusted with it. */
const OPEN_NONE: ReadonlySet<string> = new Set(['addr_adv', 'sspi']);

function askDaemon(): Promise<DaemonFact | undefined> {
  return unlessAbsent(async () => {
    const { defaultPlugin: plugin, pid } = await new DaemonControlClient().status();
    const opensSubflows = plugin !== undefined && !OPEN_NONE.has(plugin);
    return { pid, opensSubflows, ...(plugin === undefined ? {} : { plugin }) };
  });
}

/** Adds the daemon where it matters: the kernel leaves subflows to somebody. */
export async function withDaemon(facts: HostFacts): Promise<HostFacts> {
  const { sysctls } = facts;
  const manager = sysctls.get('net.mptcp.path_manager') ?? sysctls.get('net.mptcp.pm_type');
  if (manager === undefined || manager === 'kernel' || manager === '0') return facts;
  const daemon = await askDaemon();
  return daemon === undefined ? facts : { ...facts, daemon };
}

const askPaths = (face: AnyFace) =>
  unlessAbsent(async () => (await callsOf<ObserveApi>(face, OBSERVE_CALLS).overview()).paths);

/** Adds what whoever observes this host sees of its paths; without one that is not known. */
export async function withObserved(facts: HostFacts): Promise<HostFacts> {
  const observedPaths = (await askPaths(WEFT_FACE)) ?? (await askPaths(DAEMON_FACE));
  return observedPaths === undefined ? facts : { ...facts, observedPaths };
}

/** Answers about what was asked, not about who was asked. */
const OF_THE_QUESTION: ReadonlySet<string> = new Set(['NO_SUCH_CONNECTION', 'AMBIGUOUS', 'BAD_ARGUMENT']);

async function askOne(face: AnyFace, query: WhyQuery): Promise<WhyReport | undefined> {
  try {
    return await callsOf<ObserveApi>(face, OBSERVE_CALLS).why(query);
  } catch (error) {
    // Nobody there, somebody else's, or of a version that does not know the call: others can tell as much.
    if (error instanceof WeftError && !OF_THE_QUESTION.has(error.code)) return undefined;
    throw error;
  }
}

/**
 * What the Weft, or else the daemon, that runs here says: it has seen connections begin.
 * @returns `undefined` when neither answers
 * @throws WeftError `NO_SUCH_CONNECTION`; `AMBIGUOUS`
 */
export async function askWhy(query: WhyQuery): Promise<WhyReport | undefined> {
  return (await askOne(WEFT_FACE, query)) ?? (await askOne(DAEMON_FACE, query));
}
