/**
 * The kernel's MPTCP counters (MPTcpExt): parsing, difference and what they mean. Pure; counters-read.ts reads
 * them. Names are the file's own, never a list of ours, so that every kernel's counters are shown; the table of
 * meanings (counters-meanings.ts) only explains them.
 *
 *   /proc/net/netstat   pairs of lines, "GROUP: NAME NAME …" and "GROUP: VALUE VALUE …"
 *
 * References: net/mptcp/mib.c, proc_net(5).
 */
import { COUNTER_MEANINGS, type CounterDescription } from './counters-meanings.ts';

/** Values by name, in the kernel's order. A counter that is not there counts as 0 (`countOf`). */
export type Counters = ReadonlyMap<string, number>;

const GROUP = 'MPTcpExt:';

/** Reads the text of /proc/net/netstat; other groups and anything malformed are ignored. */
export function parseCounters(netstat: string): Counters {
  const counters = new Map<string, number>();
  let names: string[] | undefined;
  for (const line of netstat.split('\n')) {
    if (!line.startsWith(GROUP)) continue;
    const words = line.slice(GROUP.length).trim().split(/\s+/);
    if (names === undefined) {
      names = words;
      continue;
    }
    for (const [i, name] of names.entries()) {
      const word = words[i];
      if (name !== '' && word !== undefined && /^\d+$/.test(word)) counters.set(name, Number(word));
    }
    break;
  }
  return counters;
}

/** The counter's value, 0 when the kernel does not have it. */
export function countOf(counters: Counters, name: string): number {
  return counters.get(name) ?? 0;
}

/**
 * How much each counter grew between two readings; gauges (MPCurrEstab) as they are in the later one. Only names
 * of the later reading, zeros included.
 */
export function differenceOf(earlier: Counters, later: Counters): Counters {
  const grown = new Map<string, number>();
  for (const [name, value] of later) {
    grown.set(name, describeCounter(name).gauge ? value : value - countOf(earlier, name));
  }
  return grown;
}

const UNKNOWN: CounterDescription = {
  group: 'other',
  meaning: 'not known to this version of Weft; see net/mptcp/mib.h of the kernel',
  gauge: false,
};

/** What a counter says, in one line, and the group it is shown in (COUNTER_GROUPS). Any name has an answer. */
export function describeCounter(name: string): CounterDescription {
  return COUNTER_MEANINGS.get(name) ?? UNKNOWN;
}
