/** Check of what the kernel's counters of MPTCP remember (pure): trouble on this host or on its way out. */
import type { Check, CheckResult, HostFacts, ReadFact } from './facts.ts';
import type { HostFindingId } from './finding-ids.ts';

interface CounterNote {
  readonly name: string;
  readonly cause: HostFindingId;
  readonly means: string;
  readonly advice: string;
}

/** Counters that stand for something wrong on this host or on its way out. */
const COUNTERS_OF_TROUBLE: readonly CounterNote[] = [
  {
    name: 'Blackhole',
    cause: 'blackhole',
    means: 'MPTCP was switched off for a while because handshakes with it vanished',
    advice:
      'something on the way drops MPTCP; to try again at once: sysctl -w net.mptcp.blackhole_timeout=3600',
  },
  {
    name: 'MPCapableSYNTXDrop',
    cause: 'handshakes-dropped',
    means: 'handshakes got through only without MPTCP',
    advice:
      'a firewall or middlebox drops packets with the MPTCP option; try each uplink alone to find which',
  },
  {
    name: 'MPJoinSynTxBindErr',
    cause: 'join-no-address',
    means: "second subflows could not use their endpoint's address",
    advice: 'see the check "endpoints": the address was not on its link at that moment',
  },
  {
    name: 'MPJoinSynTxConnectErr',
    cause: 'join-no-route',
    means: 'second subflows found no route',
    advice: 'see the check "routes": each address needs a route by its own link',
  },
  {
    name: 'MPJoinSynAckHMacFailure',
    cause: 'join-forged',
    means: 'answers to joining subflows failed their check',
    advice: 'a middlebox answers in place of the server on one of the paths',
  },
  {
    name: 'DSSCorruptionFallback',
    cause: 'data-changed',
    means: 'connections fell back to TCP because a middlebox changed data',
    advice: 'to see such paths earlier: sysctl -w net.mptcp.checksum_enabled=1',
  },
  {
    name: 'DSSCorruptionReset',
    cause: 'data-changed',
    means: 'subflows were reset because a middlebox changed data',
    advice: 'to see such paths earlier: sysctl -w net.mptcp.checksum_enabled=1',
  },
];

/** Below this many handshakes a share says nothing. */
const MIN_HANDSHAKES = 5;

/** Counters that stand for ordinary work, which verdicts about it rest on. */
const WORK = [
  'MPCapableSYNTX',
  'MPCapableSYNACKRX',
  'MPCapableFallbackSYNACK',
  'MPJoinSynTx',
  'MPJoinSynAckRx',
];

/** Each counter as it was read; those of trouble only when they are not 0. */
function counterFacts(counters: ReadonlyMap<string, number>, names: readonly string[]): ReadFact[] {
  return names.flatMap((name) => {
    const value = counters.get(name);
    return value === undefined ? [] : [{ name, value: String(value) }];
  });
}

export const checkCounters: Check = ({ counters, mptcpSocket }) => {
  const id = 'counters';
  if (counters === undefined) {
    return mptcpSocket.ok
      ? { id, verdict: 'unknown', evidence: 'could not read /proc/net/netstat', advice: [] }
      : undefined;
  }
  const count = (name: string) => counters.get(name) ?? 0;
  const trouble = COUNTERS_OF_TROUBLE.filter(({ name }) => count(name) > 0);
  const asked = count('MPCapableSYNTX');
  const refused = count('MPCapableFallbackSYNACK');
  const share = `${asked} connection${asked === 1 ? '' : 's'} asked for MPTCP, ${refused} of the servers did not speak it`;
  // Older kernels count the answers only.
  const begun = count('MPJoinSynTx');
  const joined = count('MPJoinSynAckRx');
  const joins = `${joined}${begun > joined ? ` of ${begun}` : ''} subflow${Math.max(begun, joined) === 1 ? '' : 's'} joined`;
  const history = asked === 0 ? 'no MPTCP connection from here since the start' : `${share}, ${joins}`;
  const work = counterFacts(counters, WORK);
  if (trouble.length > 0) {
    const names = trouble.map(({ name }) => name);
    return {
      id,
      ...(trouble[0] === undefined ? {} : { cause: trouble[0].cause }),
      verdict: 'warn',
      evidence: `since the start: ${trouble.map(({ name, means }) => `${means} (${name} ${count(name)})`).join('; ')}`,
      facts: [...counterFacts(counters, names), ...work],
      advice: trouble.map(({ advice }) => advice),
    };
  }
  if (asked >= MIN_HANDSHAKES && refused >= asked) {
    return {
      id,
      cause: 'no-server-speaks' satisfies HostFindingId,
      verdict: 'warn',
      evidence: `${share}: either they have no MPTCP, or something on the way strips it`,
      facts: work,
      advice: ['try a server that speaks it: curl -x http://127.0.0.1:13128 http://check.mptcp.dev'],
    };
  }
  return { id, verdict: 'ok', evidence: history, facts: work, advice: [] };
};

/**
 * The check of the counters taken apart, one result for each thing that is wrong, because each has its own remedy.
 * Two counters of one cause make one result.
 */
export function splitCounters(result: CheckResult, { counters = new Map() }: HostFacts): CheckResult[] {
  const trouble = COUNTERS_OF_TROUBLE.filter(({ name }) => (counters.get(name) ?? 0) > 0);
  if (trouble.length === 0) return [result];
  return [...new Set(trouble.map(({ cause }) => cause))].map((cause) => {
    const notes = trouble.filter((note) => note.cause === cause);
    return {
      id: result.id,
      cause,
      verdict: 'warn',
      evidence: `since the start, ${notes.map(({ means }) => means).join(' and ')}`,
      facts: counterFacts(
        counters,
        notes.map(({ name }) => name),
      ),
      advice: [...new Set(notes.map(({ advice }) => advice))],
    } satisfies CheckResult;
  });
}
