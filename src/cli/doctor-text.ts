/** A diagnosis as text for people (pure). */
import type { CheckResult, Diagnosis } from '../service/index.ts';
import { paragraph } from './text-layout.ts';

/** How a verdict is shown; all as wide. */
export const MARKS: Readonly<Record<CheckResult['verdict'], string>> = {
  ok: 'ok  ',
  warn: 'WARN',
  fail: 'FAIL',
  unknown: '?   ',
};

const NAME_WIDTH = 13;

function formatCheck({ id, verdict, evidence, advice }: CheckResult, width: number): string {
  const head = `${MARKS[verdict]}  ${id.padEnd(NAME_WIDTH)}`;
  const lines = [paragraph(evidence, width, head)];
  // Commands stay on one line as far as they can, to be copied.
  for (const line of advice) lines.push(paragraph(line, width, `${' '.repeat(head.length)}> `));
  return lines.join('\n');
}

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;

function verdictLine({ checks }: Diagnosis): string {
  const count = (verdict: CheckResult['verdict']) =>
    checks.filter((check) => check.verdict === verdict).length;
  const [failed, warned, unknown] = [count('fail'), count('warn'), count('unknown')];
  const unseen = unknown === 0 ? '' : `; ${unknown} could not be looked at`;
  if (failed > 0) {
    return `${plural(failed, 'check')} failed: multipath does not work here before that is mended${unseen}.`;
  }
  if (warned > 0) return `Nothing failed; ${plural(warned, 'point')} to look at${unseen}.`;
  return `All is well${unseen}.`;
}

export function formatDiagnosis(diagnosis: Diagnosis, width: number): string {
  const checks = diagnosis.checks.map((check) => formatCheck(check, width));
  return `${checks.join('\n')}\n\n${verdictLine(diagnosis)}\n`;
}
