/** The answer to "why" as text for people (pure): the answer first, then the findings with what they rest on. */
import type { WhyReport } from '../service/index.ts';
import { MARKS } from './doctor-text.ts';
import { paragraph } from './text-layout.ts';

const INDENT = ' '.repeat(6);

type Finding = WhyReport['findings'][number];

function formatFinding(
  { advice, evidence, id, text, verdict }: Finding,
  width: number,
  all: boolean,
): string {
  const lines = [paragraph(`${text} [${id}]`, width, `${MARKS[verdict]}  `)];
  if (all || verdict !== 'ok') {
    for (const { name, value } of evidence) {
      lines.push(paragraph(`${name}: ${value}`, width, `${INDENT}- `));
    }
  }
  // Commands stay on one line as far as they can, to be copied.
  for (const line of advice) lines.push(paragraph(line, width, `${INDENT}> `));
  return lines.join('\n');
}

/** @param all evidence of what is well too */
export function formatWhy({ findings, summary }: WhyReport, width: number, all: boolean): string {
  const blocks = findings.map((finding) => formatFinding(finding, width, all));
  return `${paragraph(summary, width)}\n${blocks.length === 0 ? '' : `\n${blocks.join('\n')}\n`}`;
}
