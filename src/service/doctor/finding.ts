/** Findings in the form in which all ask for them (pure): made, put in order, summed up in one sentence. */
import type { Evidence, Finding, WhyReport } from '../observe/api.ts';
import type { CheckResult, Verdict } from './facts.ts';
import type { ConnectionFindingId } from './finding-ids.ts';

const RANKS: Readonly<Record<Verdict, number>> = { fail: 0, warn: 1, unknown: 2, ok: 3 };

/** The worst first; among equals the order in which they were found, which is that in which a person would look. */
export function worstFirst(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => RANKS[a.verdict] - RANKS[b.verdict]);
}

/** A check of the doctor's as a finding. */
export function findingOf({ advice, cause, evidence, facts = [], id, verdict }: CheckResult): Finding {
  return { id: cause ?? id, verdict, text: evidence, evidence: facts, advice };
}

/** A finding about one connection. Evidence without a value was not to be had, and is left out. */
export function finding(
  id: ConnectionFindingId,
  verdict: Verdict,
  text: string,
  evidence: readonly (readonly [string, string | number | boolean | undefined])[] = [],
  advice: readonly string[] = [],
): Finding {
  return { id, verdict, text, evidence: evidenceOf(evidence), advice };
}

export function evidenceOf(
  pairs: readonly (readonly [string, string | number | boolean | undefined])[],
): Evidence[] {
  return pairs.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value: String(value) }]));
}

export const isTrouble = ({ verdict }: Pick<Finding, 'verdict'>) => verdict === 'fail' || verdict === 'warn';

/** Sentences begin with a capital and end with a full stop; findings, like everything else that is composed, do not. */
export function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/**
 * @param summary the answer, for a report whose first finding is not the answer itself
 * @param time of the facts, milliseconds since 1970
 */
export function report(findings: readonly Finding[], summary: string, time: number): WhyReport {
  return {
    time,
    summary: sentence(summary),
    healthy: !findings.some(isTrouble),
    findings: worstFirst(findings),
  };
}
