/**
 * What limits this host now, in words (pure): the doctor's checks as findings, the worst first, and one sentence that is
 * the answer.
 */
import type { Finding, WhyReport } from '../observe/api.ts';
import { splitCounters } from './checks-counters.ts';
import type { HostFacts } from './facts.ts';
import { findingOf, isTrouble, report, worstFirst } from './finding.ts';
import { judge } from './judge.ts';

/** Every check of the host as a finding, in the order of the checks. */
export function hostFindings(facts: HostFacts): Finding[] {
  return judge(facts).checks.flatMap((check) => {
    const results = check.id === 'counters' ? splitCounters(check, facts) : [check];
    return results.map(findingOf);
  });
}

/** What connections do now; nothing when there are none. */
function nowSentence({ tally }: HostFacts): string {
  if (tally === undefined || tally.mptcp === 0) return '';
  const { mptcp, several } = tally;
  const all = `${mptcp} MPTCP connection${mptcp === 1 ? '' : 's'}`;
  return several === mptcp
    ? `; now ${all} with several subflows`
    : `; now ${all}, ${several} of them with several subflows`;
}

function summarise(findings: readonly Finding[], facts: HostFacts): string {
  const [worst, ...others] = worstFirst(findings).filter(isTrouble);
  const now = nowSentence(facts);
  if (worst === undefined) return `nothing on this host limits multipath${now}`;
  const more =
    others.length === 0 ? '' : ` (and ${others.length} more point${others.length === 1 ? '' : 's'})`;
  if (worst.verdict === 'fail') {
    // Whatever is broken, these show that not all of it is.
    const isWhole = (facts.tally?.several ?? 0) === 0;
    return isWhole
      ? `multipath does not work here: ${worst.text}${more}`
      : `a part of multipath does not work here: ${worst.text}${more}${now}`;
  }
  return `multipath is limited here: ${worst.text}${more}${now}`;
}

export function explainHost(facts: HostFacts): WhyReport {
  const findings = hostFindings(facts);
  return report(findings, summarise(findings, facts), facts.time);
}
